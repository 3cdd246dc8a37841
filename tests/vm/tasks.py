"""Gives the mock backend several tasks at once and waits until all are answered: a verdict a line."""

import json
import sys
import time
import urllib.request


def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"{backend}/mock/{path}", data, timeout=30) as answer:
        return json.load(answer)


backend, repository, count, patience = sys.argv[1:]
task = {"repositoryUrl": repository, "branch": "main", "laboratoryNumber": 1}
tasks = {ask("tasks", task)["ids"][0] for _ in range(int(count))}
deadline = time.monotonic() + float(patience)
while tasks - {stored["id"] for stored in ask("results")} and time.monotonic() < deadline:
    time.sleep(0.5)
answered = {attempt["id"]: attempt["status"] for attempt in ask("attempts")}
for task in tasks:
    print(answered.get(task, "UNANSWERED"))
