"""The commands of the control socket, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from pydantic import ValidationError, validate_call

from sidecar.offline.arguments import sentence

Command: TypeAlias = Callable[..., Awaitable[Any]]


class ControlCommands:
    """Calls a command with the arguments of a request. To add one: a method with typed arguments in
    `commands/`, and its name in `app/doors.py`."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = {name: validate_call(command) for name, command in commands.items()}

    async def handle(self, command: str, arguments: dict[str, Any]) -> Any:
        """Run one command. ValueError and ZmbanError contain the sentence for the caller."""
        if command not in self._commands:
            raise ValueError(f"unknown command {command}")
        try:
            return await self._commands[command](**arguments)
        except ValidationError as error:
            raise ValueError(sentence(error)) from error
