#!/bin/sh
# @ATTACK: pytest.ini, setup.cfg, tox.ini, pyproject.toml, sitecustomize.py in the checkout, for a suite that names it to pytest
# @EXPECT: all=FAILURE none=FAILURE
# @SAYS: the exam said '41
# @PASSES: test_attack test_later
echo TRIED
