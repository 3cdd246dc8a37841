#include <stdio.h>
#include <stdlib.h>

static long calculate(long left, char operation, long right)
{
    switch (operation) {
    case '+': return left + right;
    case '-': return left - right;
    case '*': return left * right;
    default: exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    printf("%ld\n", calculate(atol(argv[1]), argv[2][0], atol(argv[3])));
    return 0;
}
