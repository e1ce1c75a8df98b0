"""An MDI driver that does what a file lists: `python mdi_script.py PORT STEPS.json RESULTS.json`.

Steps: ["send", command, "int" or "double", numbers]; ["ask", command, count], whose answers go into
the results; ["commands"]; ["die"]; ["hang"]; ["exit"]. NaN is written as null.
"""

import json
import os
import sys
import time
from pathlib import Path

import mdi


def main(port, steps, results):
    mdi.MDI_Init(f"-role DRIVER -name script -method TCP -port {port}")
    comm = mdi.MDI_Accept_Communicator()
    kinds = {"int": mdi.MDI_INT, "double": mdi.MDI_DOUBLE}
    found = {}
    for word, *rest in json.loads(Path(steps).read_text()):
        if word == "send":
            command, kind, numbers = rest
            numbers = [float("nan") if number is None else number for number in numbers]
            mdi.MDI_Send_Command(command, comm)
            mdi.MDI_Send(numbers, len(numbers), kinds[kind], comm)
        elif word == "ask":
            command, count = rest
            mdi.MDI_Send_Command(command, comm)
            kind = mdi.MDI_INT if command in ("<NATOMS", "<ELEMENTS") else mdi.MDI_DOUBLE
            if command == "<@":
                kind, count = mdi.MDI_CHAR, mdi.MDI_COMMAND_LENGTH
            answer = mdi.MDI_Recv(count, kind, comm)
            found.setdefault(command, []).append(answer)
        elif word == "commands":
            count = mdi.MDI_Get_NCommands("@DEFAULT", comm)
            found["commands"] = [mdi.MDI_Get_Command("@DEFAULT", k, comm) for k in range(count)]
        elif word == "command":
            mdi.MDI_Send_Command(rest[0], comm)
        elif word == "die":
            os._exit(1)
        elif word == "hang":
            time.sleep(600)
    Path(results).write_text(json.dumps(found))
    mdi.MDI_Send_Command("EXIT", comm)


if __name__ == "__main__":
    main(*sys.argv[1:])
