#!/usr/bin/python3 -IS
"""Fence agent of the lab: asks the hypervisor, through a socket in the file system, to switch a node off or on."""

import socket
import sys

METADATA = """<?xml version="1.0"?>
<resource-agent name="fence_lab" shortdesc="Fence agent of the pgsqlms lab">
  <longdesc>Asks the lab's hypervisor to switch a node off or on.</longdesc>
  <parameters>
    <parameter name="action" required="0">
      <content type="string" default="reboot"/>
      <shortdesc lang="en">Fencing action</shortdesc>
    </parameter>
    <parameter name="plug" required="0">
      <content type="string"/>
      <shortdesc lang="en">The node</shortdesc>
    </parameter>
    <parameter name="socket" required="0">
      <content type="string" default="/srv/hypervisor/socket"/>
      <shortdesc lang="en">Where the hypervisor listens</shortdesc>
    </parameter>
  </parameters>
  <actions>
    <action name="on" automatic="0"/>
    <action name="off"/>
    <action name="reboot"/>
    <action name="status"/>
    <action name="list"/>
    <action name="monitor"/>
    <action name="metadata"/>
  </actions>
</resource-agent>
"""


def ask(path, question):
    """Sends one line to the hypervisor and gives its answer: a word, then what belongs to it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(path)
        connection.sendall((question + "\n").encode())
        return connection.makefile().readline().strip().partition(" ")


def main():
    options = {"action": "reboot", "socket": "/srv/hypervisor/socket", "plug": ""}
    if len(sys.argv) > 1:
        words = sys.argv[1:]
        for flag, value in zip(words, words[1:]):
            options.update({"-o": {"action": value}, "-n": {"plug": value}}.get(flag, {}))
    else:
        for line in sys.stdin:
            name, _, value = line.strip().partition("=")
            options[{"port": "plug", "nodename": "plug"}.get(name, name)] = value

    action = options["action"]
    if action in ("metadata", "meta-data"):
        print(METADATA, end="")
        return 0
    try:
        word, _, rest = ask(options["socket"], f"{action} {options['plug']}".strip())
    except OSError as error:
        print(f"no hypervisor at {options['socket']}: {error}", file=sys.stderr)
        return 1
    if word != "ok":
        print(f"the hypervisor refuses to {action} {options['plug']}: {rest}", file=sys.stderr)
        return 1
    if action == "list":
        print("\n".join(f"{node}," for node in rest.split()))
    if action == "status":
        print(f"Status: {rest.upper()}")
        return 0 if rest == "on" else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
