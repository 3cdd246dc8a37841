#!/bin/sh
# @ATTACK: a conftest.py in the checkout, for a suite that names the checkout to pytest (--src DIR): its first look takes that for a folder of tests
# @EXPECT: all=FAILURE none=SUCCESS
# @SAYS: the exam said '41
# @PASSES: test_attack test_later
echo TRIED
