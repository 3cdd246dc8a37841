#!/usr/bin/env python3
# @ATTACK: none: a server and a client of the student's own, as a lab on networks has them
# @EXPECT: bwrap-root=SUCCESS bwrap-user=SUCCESS basic-root=FAILURE basic-user=FAILURE none=SUCCESS
# @SAYS basic-root: Address family not supported
# @SAYS basic-user: Address family not supported
import socket

for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    with socket.socket(family) as server:
        server.bind((address, 0))
        server.listen()
        with socket.create_connection(server.getsockname()[:2]) as client:
            client.sendall(b"hello")
            assert server.accept()[0].recv(5) == b"hello"
print("TRIED")
