/* @ATTACK: a small source that becomes a program of 16 GB
 * @EXPECT: all=FAILURE
 * @SAYS: make ended with
 */
int bomb[1 << 30][4] = {{1}};

int main(void) { return bomb[0][0]; }
