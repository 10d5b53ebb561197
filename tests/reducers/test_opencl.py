"""OpenCL: devices by name, one context per process, queues per thread, buffers by their bytes."""

from __future__ import annotations

import array
import gc
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pyopencl as cl
import pytest
from pyopencl.tools import ImmediateAllocator, MemoryPool

import daskpickle
from daskpickle import handles
from daskpickle.errors import HandleError, RefusedError
from daskpickle.handles import real
from daskpickle.testing import ReducerContract, elsewhere

SOURCE = "__kernel void double_it(__global int *a) { a[get_global_id(0)] *= 2; }"
NUMBERS = array.array("i", [1, 2, 3, 4])


def builds_kernels(device: cl.Device) -> bool:
    """Whether its compiler knows this processor; that of PoCL's wheel may be older than it."""
    try:
        cl.Program(cl.Context([device]), SOURCE).build()
    except cl.Error:
        return False
    return True


DEVICES = [device for platform in cl.get_platforms() for device in platform.get_devices()]
COMPUTING = [device for device in DEVICES if builds_kernels(device)]
EACH_DEVICE = pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.platform.name)


def filled(context: cl.Context, flags: int = cl.mem_flags.READ_WRITE) -> cl.Buffer:
    """A buffer with numbers in it."""
    return cl.Buffer(context, flags | cl.mem_flags.COPY_HOST_PTR, hostbuf=NUMBERS)


def numbers(buffer: Any, queue: Any = None) -> list[int]:
    """What is in a buffer."""
    buffer = real(buffer)
    found = array.array("i", bytes(buffer.size))
    cl.enqueue_copy(real(queue) if queue else cl.CommandQueue(buffer.context), found, buffer)
    return list(found)


def double(context: Any, queue: Any, buffer: Any) -> None:
    """Run a kernel."""
    cl.Program(context, SOURCE).build().double_it(queue, (len(NUMBERS),), None, buffer)


def as_task(data: bytes, use: Callable[[Any], Any]) -> Any:
    """What a task does: open what was sent for it, use it, and give it back."""
    with handles.running_task(), handles.opening():
        return use(daskpickle.loads(data))


class OpenCLContract(ReducerContract):
    """The contract, on the first device."""

    def make_context(self) -> cl.Context:
        return cl.Context([DEVICES[0]])

    def state(self, obj: Any) -> Any:
        """Nothing that pickling could change can be seen, save in buffers."""


class TestPlatform(OpenCLContract):
    def make(self) -> cl.Platform:
        return DEVICES[0].platform

    def same(self, sent: cl.Platform, received: Any) -> bool:
        return real(received) == sent

    @staticmethod
    def use(received: Any) -> str:
        return str(received.name)


class TestDevice(OpenCLContract):
    def make(self) -> cl.Device:
        return DEVICES[-1]

    def same(self, sent: cl.Device, received: Any) -> bool:
        return real(received) == sent

    @staticmethod
    def use(received: Any) -> tuple[str, str]:
        return received.platform.name, received.name


class TestContext(OpenCLContract):
    def make(self) -> cl.Context:
        return self.make_context()

    def same(self, sent: cl.Context, received: Any) -> bool:
        return list(received.devices) == list(sent.devices)

    @staticmethod
    def use(received: Any) -> list[str]:
        return [device.name for device in received.devices]


class TestQueue(OpenCLContract):
    def make(self) -> cl.CommandQueue:
        flags = cl.command_queue_properties.PROFILING_ENABLE
        return cl.CommandQueue(self.make_context(), properties=flags)

    def same(self, sent: cl.CommandQueue, received: Any) -> bool:
        return received.device == sent.device and received.properties == sent.properties == 2

    @staticmethod
    def use(received: Any) -> list[int]:
        return numbers(filled(received.context), received)


class TestBuffer(OpenCLContract):
    def make(self) -> cl.Buffer:
        return filled(self.make_context(), cl.mem_flags.READ_ONLY)

    def same(self, sent: cl.Buffer, received: Any) -> bool:
        access = cl.mem_flags.READ_ONLY
        return numbers(received) == list(NUMBERS) and bool(received.flags & access)

    def state(self, obj: Any) -> Any:
        with suppress(cl.Error):  # it may forbid that
            return numbers(obj)

    @staticmethod
    def use(received: Any) -> list[int]:
        return numbers(received)

    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        flags = cl.mem_flags

        def part() -> cl.Buffer:
            return cl.Buffer(self.make_context(), flags.READ_WRITE, 4096).get_sub_region(0, 16)

        def of_host() -> cl.Buffer:
            options = flags.READ_WRITE | flags.USE_HOST_PTR
            return cl.Buffer(self.make_context(), options, hostbuf=array.array("i", NUMBERS))

        def unreadable() -> cl.Buffer:
            return cl.Buffer(self.make_context(), flags.READ_WRITE | flags.HOST_NO_ACCESS, 16)

        return [
            (part, "part of another buffer"),
            (of_host, "array of the host"),
            (unreadable, "do not let the host read it"),
        ]


class TestWhatNeverTravels(OpenCLContract):
    def refused(self) -> list[tuple[Callable[[], Any], str]]:
        def event() -> cl.Event:
            return cl.UserEvent(self.make_context())

        def image() -> cl.Image:
            pixel = cl.ImageFormat(cl.channel_order.RGBA, cl.channel_type.UNORM_INT8)
            return cl.create_image(self.make_context(), cl.mem_flags.READ_ONLY, pixel, (2, 2))

        def kernel() -> cl.Kernel:
            return cl.Program(cl.Context([COMPUTING[0]]), SOURCE).build().double_it

        def pool() -> MemoryPool:
            return MemoryPool(ImmediateAllocator(cl.CommandQueue(self.make_context())))

        def program() -> cl.Program:
            return cl.Program(self.make_context(), SOURCE)

        def sampler() -> cl.Sampler:
            clamp, nearest = cl.addressing_mode.CLAMP, cl.filter_mode.NEAREST
            return cl.Sampler(self.make_context(), False, clamp, nearest)

        return [
            (event, "command of one queue"),
            (image, "memory of a device"),
            (kernel, "built for one context"),
            (pool, "memory of a device"),
            (program, "built for one context"),
            (sampler, "one context"),
        ]


def test_there_is_a_device_that_computes() -> None:
    """Tests run kernels: on PoCL, or on Oclgrind where PoCL is older than the processor."""
    assert COMPUTING


def test_a_part_of_a_device_is_refused() -> None:
    """Another process did not divide its device."""
    pocl = next(d for d in DEVICES if d.platform.name == "Portable Computing Language")
    part = pocl.create_sub_devices([cl.device_partition_property.EQUALLY, 1])[0]
    for obj in (part, cl.CommandQueue(cl.Context([part]), part)):
        with pytest.raises(RefusedError, match="part of a device"):
            daskpickle.dumps(obj)


@EACH_DEVICE
def test_contexts_of_the_same_devices_become_one(device: cl.Device) -> None:
    """What was made in one context, or in two of the same devices, can be used together."""
    first, second = cl.Context([device]), cl.Context([device])
    sent = first, cl.CommandQueue(first), filled(second)

    def together(received: Any) -> bool:
        context, queue, buffer = received
        assert queue.context == context == buffer.context
        return numbers(buffer, queue) == list(NUMBERS)

    data = daskpickle.dumps(sent)
    with elsewhere():
        assert as_task(data, together)
        context, queue, buffer = daskpickle.loads(data)
        assert numbers(buffer, queue) == list(NUMBERS)
        assert real(context) == queue.context == buffer.context
        del context, queue, buffer


@pytest.mark.parametrize("device", COMPUTING, ids=lambda device: device.platform.name)
def test_a_task_runs_a_kernel_with_what_arrived(device: cl.Device) -> None:
    """Each task computes on what was submitted; what it computed, it can send on."""
    context = cl.Context([device])
    queue, buffer = cl.CommandQueue(context), filled(context)
    data = daskpickle.dumps((context, queue, buffer))
    double(context, queue, buffer)
    assert numbers(buffer, queue) == [2, 4, 6, 8]

    def compute(received: Any) -> bytes:
        double(*received)
        received[1].finish()
        return daskpickle.dumps(received)

    with elsewhere():
        once = as_task(data, compute)
        twice = as_task(once, compute)
        assert as_task(data, lambda r: numbers(r[2])) == [1, 2, 3, 4]
        assert as_task(once, lambda r: numbers(r[2])) == [2, 4, 6, 8]
        assert as_task(twice, lambda r: numbers(r[2], r[1])) == [4, 8, 12, 16]


def test_one_context_per_process_one_queue_per_thread() -> None:
    """Tasks of one thread share the queue, tasks of two threads the context."""
    data = daskpickle.dumps(cl.CommandQueue(cl.Context([DEVICES[0]])))
    with elsewhere():
        handles.pool.counts.clear()
        for _ in range(2):
            as_task(data, cl.CommandQueue.finish)
        thread = threading.Thread(target=as_task, args=(data, cl.CommandQueue.finish))
        thread.start()
        thread.join()
        opens = {name: n for (what, name), n in handles.pool.counts.items() if what == "opens"}
        assert opens == {"pyopencl._cl.CommandQueue": 2, "pyopencl._cl.Context": 1}


def test_a_queue_keeps_its_context_open() -> None:
    """While a queue is open the pool does not close the context that it was made in."""
    data = daskpickle.dumps(cl.CommandQueue(cl.Context([DEVICES[0]])))
    with elsewhere():
        queue = daskpickle.loads(data)
        with handles.running_task():
            real(queue)
        in_use = {slot.recipe.cls: slot.in_use() for slot in handles.pool._slots.values()}
        assert in_use == {cl.Context: True, cl.CommandQueue: False}
        del queue


def test_bytes_of_a_buffer_travel_out_of_band() -> None:
    """Protocol 5 copies them into no stream."""
    context = cl.Context([DEVICES[0]])
    content = bytes(range(250)) * 1000
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    buffers: list[Any] = []
    data = daskpickle.dumps(
        cl.Buffer(context, flags, hostbuf=content), buffer_callback=buffers.append
    )
    assert len(data) < 2000
    with elsewhere():
        received = real(daskpickle.loads(data, buffers=buffers))
        found = bytearray(received.size)
        cl.enqueue_copy(cl.CommandQueue(received.context), found, received)
        assert found == content
        del received
        gc.collect()


def test_a_device_of_another_name_is_found_by_kind_and_number() -> None:
    """On a machine with another processor, its CPU device is taken."""
    room = daskpickle.registrations()  # the room is loaded
    assert any(registration.cls is cl.Device for registration in room)
    from daskpickle.reducers.opencl import open_device

    device = DEVICES[0]
    kind = [d for d in device.platform.get_devices() if d.type == device.type]
    arguments = device.platform.name, "another model", device.type, 0, kind.index(device)
    assert open_device(*arguments) == device


def test_a_missing_device_is_named_and_so_is_what_there_is(monkeypatch: Any) -> None:
    """The error of the use says what was asked for, and what this process has."""
    data = daskpickle.dumps(cl.CommandQueue(cl.Context([DEVICES[0]])))
    others = [p for p in cl.get_platforms() if p != DEVICES[0].platform]
    monkeypatch.setattr(cl, "get_platforms", lambda: others)
    here = repr(others[0].get_devices()[0].name) if others else "none"
    with elsewhere():
        received = daskpickle.loads(data)
        with pytest.raises(HandleError, match=f"no OpenCL platform.*there are: {here}"):
            received.finish()
