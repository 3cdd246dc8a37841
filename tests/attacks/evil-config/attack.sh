#!/bin/sh
# @ATTACK: configuration, customizations and plugins put into HOME, TMPDIR, beside the suite and into its environment while it runs
# @EXPECT: all=FAILURE
# @SAYS: the exam said '41
# @PASSES: test_attack test_later
for folder in "$HOME" "$TMPDIR" .. ../.. ../suite ../suite/tests ../../suite ../../suite/tests; do
    cp evil.py pytest.ini setup.cfg tox.ini pyproject.toml sitecustomize.py usercustomize.py "$folder/" 2>/dev/null
    cp evil_conftest.py "$folder/conftest.py" 2>/dev/null
done
for version in 3.9 3.10 3.11 3.12 3.13 3.14; do
    packages="$HOME/.local/lib/python$version/site-packages"
    mkdir -p "$packages" && cp evil.py sitecustomize.py usercustomize.py "$packages/"
    echo "import evil" > "$packages/evil.pth"
done
[ -z "$VIRTUAL_ENV" ] || for folder in "$VIRTUAL_ENV"/lib/python*/site-packages; do
    { echo "import evil" > "$folder/evil.pth"; } 2>/dev/null && echo "LEAKED a file in $folder"
    { true >> "$folder/pytest/__init__.py"; } 2>/dev/null && echo "LEAKED pytest itself can be written to"
done
echo TRIED
