#!/bin/sh
# @ATTACK: trees that nobody may enter, in the checkout, HOME, TMPDIR; the checkout itself too
# @EXPECT: all=FAILURE
for folder in . "$HOME" "$TMPDIR"; do
    mkdir -p "$folder/locked/inner/most"
    echo x > "$folder/locked/inner/most/file"
    chmod 000 "$folder/locked/inner/most/file" "$folder/locked/inner/most" "$folder/locked/inner" "$folder/locked"
done
chmod 555 "$HOME" "$TMPDIR"
chmod 1000 "$HOME"
echo TRIED
chmod 000 .
