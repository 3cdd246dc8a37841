#!/bin/sh
echo TRIED nothing
