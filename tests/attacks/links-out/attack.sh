#!/bin/sh
# @ATTACK: links in the repository itself that lead out of the checkout: to the spool, to other tasks, to the system's secrets
# @EXPECT: all=SUCCESS
for link in spool kept root; do
    if ls "$link/" >/dev/null 2>&1 && [ -n "$(ls -A "$link/")" ]; then echo "LEAKED $link can be listed"; else echo "BLOCKED $link"; fi
done
others=$(ls work/ 2>/dev/null | grep -c task-)
if [ "$others" -gt 1 ]; then echo "LEAKED $others tasks can be listed"; else echo "BLOCKED work: $others"; fi
for file in shadow top/etc/shadow top/root/.ssh/id_rsa; do
    if cat "$file" >/dev/null 2>&1; then echo "LEAKED $file can be read"; else echo "BLOCKED $file"; fi
done
for file in spool/claimed/x spool/x kept/x top/x; do
    if { echo x >> "$file"; } 2>/dev/null; then echo "LEAKED $file can be written"; else echo "BLOCKED $file"; fi
done
