"""OpenCL: devices are found again by name; contexts, queues and buffers are made again on them.

Notes
-----
* A device arrives as the one of the same name; where there is none, as the one of the same
  platform, kind and number: my first GPU here is the worker's first GPU there.
* What was made in one context arrives in one context. There is one for the same devices in each
  process: pyopencl makes a new object whenever it is asked for a context, so that the devices are
  its identity. A queue arrives once per thread, a buffer as a copy for each task.
* Lost: commands that a queue has not finished. No buffer knows its queues, so that its bytes are
  those of the moment: call ``queue.finish()`` first. And the properties of a context, as for
  sharing with OpenGL, which pyopencl does not tell.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pyopencl as cl
from pyopencl.tools import MemoryPool

from daskpickle import Recipe, register
from daskpickle.errors import RefusedError
from daskpickle.handles import Contents, real

HINT = "Make it inside the task."

#: What tells a device: names of platform and device, kind, number among those of its name and kind.
Facts = tuple[str, str, int, int, int]


@register(cl.Platform, scope="process", hint=HINT, travels="name", lost="nothing", refused="never")
def reduce_platform(platform: cl.Platform) -> Recipe:
    """Travel as its name."""
    return Recipe(open_platform, platform.name)


def open_platform(name: str) -> cl.Platform:
    """Find the platform of this name."""
    for platform in cl.get_platforms():
        if platform.name == name:
            return platform
    raise LookupError(f"There is no OpenCL platform {name!r}. {_what_there_is()}")


@register(
    cl.Device, scope="process", hint=HINT,
    travels="platform, name, kind, number", lost="nothing", refused="a part of a device",
)  # fmt: skip
def reduce_device(device: cl.Device) -> Recipe:
    """Say which device it is."""
    return Recipe(open_device, *_facts(device, device))


def open_device(platform: str, name: str, kind: int, number: int, number_of_kind: int) -> cl.Device:
    """Find the device by its name, else by its kind."""
    devices = open_platform(platform).get_devices()
    same_name = [device for device in devices if device.name == name]
    same_kind = [device for device in devices if device.type == kind]
    for device in (*same_name[number:][:1], *same_kind[number_of_kind:][:1]):
        return device
    raise LookupError(f"There is no OpenCL device like {name!r} of {platform}. {_what_there_is()}")


@register(
    cl.Context, scope="process", hint=HINT,
    travels="devices", lost="properties", refused="on a part of a device",
)  # fmt: skip
def reduce_context(context: cl.Context) -> Recipe:
    """Travel as its devices: contexts of the same devices are one where they arrive."""
    devices = [_facts(context, device) for device in context.devices]
    return Recipe(open_context, *devices, token=_token(*devices))


def open_context(*devices: Facts) -> cl.Context:
    """Make a context of these devices."""
    found = [open_device(*facts) for facts in devices]
    if len(set(found)) < len(found):
        raise LookupError(f"There are not {len(found)} such OpenCL devices. {_what_there_is()}")
    return cl.Context(found)


@register(
    cl.CommandQueue, scope="thread", hint=HINT,
    travels="context, device, properties", lost="unfinished commands",
    refused="on a part of a device",
)  # fmt: skip
def reduce_queue(queue: cl.CommandQueue) -> Recipe:
    """Travel as a new queue of the same context and device, with the same properties."""
    device, properties = _facts(queue, queue.device), int(queue.properties)
    token = _token(reduce_context(queue.context).token, device, properties)
    return Recipe(
        open_queue, queue.context, device, properties,
        reset=finish_queue, thread_bound=False, token=token,
    )  # fmt: skip


def open_queue(context: cl.Context, device: Facts, properties: int) -> cl.CommandQueue:
    """Make a queue in the context that arrived with it."""
    flags: Any = properties
    return cl.CommandQueue(real(context), open_device(*device), flags)


def finish_queue(queue: cl.CommandQueue) -> None:
    """Wait for what the last task left running."""
    queue.finish()


@register(
    cl.Buffer, scope="fresh", hint="Send the array that `enqueue_copy` makes of it.",
    travels="context, flags, bytes", lost="what is still being computed",
    refused="parts of buffers, memory of the host, memory that the host may not read",
)  # fmt: skip
def reduce_buffer(buffer: cl.Buffer) -> Recipe:
    """Travel as bytes, which are read through a queue of the buffer's own context."""
    flags = cl.mem_flags
    if buffer.associated_memobject is not None:  # pyright: ignore[reportAttributeAccessIssue]
        raise RefusedError(buffer, "It is a part of another buffer.")
    if buffer.flags & flags.USE_HOST_PTR:
        raise RefusedError(buffer, "It is an array of the host.", "Send the array.")
    if buffer.flags & (flags.HOST_NO_ACCESS | flags.HOST_WRITE_ONLY):
        raise RefusedError(buffer, "Its flags do not let the host read it.", HINT)
    data = bytearray(buffer.size)
    cl.enqueue_copy(cl.CommandQueue(buffer.context), data, buffer, is_blocking=True)
    contents, kept = Contents(data), buffer.flags & ~flags.COPY_HOST_PTR
    token = _token(reduce_context(buffer.context).token, kept, contents)
    return Recipe(open_buffer, buffer.context, kept, contents, token=token, snapshot=True)


def open_buffer(context: cl.Context, flags: int, contents: Contents) -> cl.Buffer:
    """Make a buffer in the context that arrived with it."""
    return cl.Buffer(real(context), flags | cl.mem_flags.COPY_HOST_PTR, hostbuf=contents.data)


REFUSED: dict[type, tuple[str, str]] = {
    cl.Event: ("It tells of a command of one queue.", "Wait for it, and send what was computed."),
    cl.Kernel: ("It was built for one context.", "Send its source, and build it in the task."),
    cl.MemoryMap: ("It is memory of a device.", "Send a copy of the array."),
    cl.MemoryObjectHolder: ("It is memory of a device.", "Send a copy of what it holds."),
    cl.Program: ("It was built for one context.", "Send its source, and build it in the task."),
    cl.SVMPointer: ("It is memory of a device.", "Send a copy of what it holds."),
    cl.Sampler: ("It belongs to one context.", HINT),
    MemoryPool: ("It holds memory of a device.", HINT),
}


def refuse(obj: Any) -> Any:
    """Refuse what is tied to a context or a queue, and say what to send in its place."""
    why, hint = next(REFUSED[base] for base in type(obj).__mro__ if base in REFUSED)
    raise RefusedError(obj, why, hint)


for cls, (_, hint) in REFUSED.items():
    register(cls, refuse, action="refuse", hint=hint, refused="always", subclasses=True)


def _facts(obj: Any, device: cl.Device) -> Facts:
    """Return what tells ``device``, which ``obj`` is or is on."""
    if device.parent_device is not None:
        raise RefusedError(obj, "It is on a part of a device, which only this process made.")
    devices = device.platform.get_devices()
    same_name = [other for other in devices if other.name == device.name]
    same_kind = [other for other in devices if other.type == device.type]
    return (
        device.platform.name, device.name, int(device.type),
        same_name.index(device), same_kind.index(device),
    )  # fmt: skip


def _token(*facts: Any) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _what_there_is() -> str:
    """Return a sentence that lists the devices of this process."""
    platforms = cl.get_platforms()
    here = [f"{device.name!r} of {p.name}" for p in platforms for device in p.get_devices()]
    return f"Here there are: {', '.join(here) or 'none'}."
