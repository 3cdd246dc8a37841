/* @ATTACK: includes a file without end
 * @EXPECT: all=FAILURE|ERROR
 */
#include "/dev/zero"

int main(void) { return 0; }
