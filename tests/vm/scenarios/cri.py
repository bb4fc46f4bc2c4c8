"""The interface by which a kubelet asks containerd for pods and containers: as much as a container with a GPU needs.

Debian has no crictl. Messages are written here by the numbers of their fields, which are those of Kubernetes' CRI v1.
"""

import time

from .scenario import Wrong, seconds_until

SOCKET = "unix:///run/containerd/containerd.sock"
HOSTS_NETWORK = 2
EXITED = 2
ANSWER_S = 60.0
PARENT = "kubepods.slice"


def encoded(fields):
    """A message: field number -> number, text, message, or a list of those."""
    out = b""
    for number, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int):
                out += varint(number << 3) + varint(one)
            else:
                body = one.encode() if isinstance(one, str) else encoded(one)
                out += varint(number << 3 | 2) + varint(len(body)) + body
    return out


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def decoded(data):
    """Field number -> its last value; a message or text as it came."""
    fields, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            fields[key >> 3], at = read_varint(data, at)
        elif key & 7 == 2:
            size, at = read_varint(data, at)
            fields[key >> 3], at = data[at : at + size], at + size
        else:
            raise Wrong(f"a message has a field of kind {key & 7}")
    return fields


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            return value, at + 1
        at, shift = at + 1, shift + 7


def call(method, fields, service="RuntimeService"):
    """The answer's fields."""
    import grpc  # only Debian 13's guest has it

    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(SOCKET, options) as channel:
        ask = channel.unary_unary(f"/runtime.v1.{service}/{method}")
        try:
            return decoded(ask(encoded(fields), timeout=ANSWER_S))
        except grpc.RpcError as error:
            raise Wrong(f"containerd's {method}: {error.details()}") from None


def pod(name):
    """The configuration of a pod: in the host's network, since no other can be set up."""
    security = {1: {1: HOSTS_NETWORK}}
    return {1: {1: name, 2: name, 3: "tests"}, 8: {1: PARENT, 2: security}}


def start(name, image, device, folder, words):
    """A container in a pod of its own; `folder` is its /diary. The pod's id."""
    config = pod(name)
    sandbox = call("RunPodSandbox", {1: config})[1].decode()
    container = {1: {1: name}, 2: {1: image}, 3: list(words), 7: {1: "/diary", 2: str(folder)}, 15: {}, 17: {1: device}}
    created = call("CreateContainer", {1: sandbox, 2: container, 3: config})[1].decode()
    call("StartContainer", {1: created})
    return sandbox


def remove(sandbox):
    call("StopPodSandbox", {1: sandbox})
    call("RemovePodSandbox", {1: sandbox})


def knows(image):
    """Whether a pod can use the image, which was imported by another way."""
    return 1 in call("ImageStatus", {1: {1: image}}, "ImageService")


def wait_until_it_knows(image):
    deadline = time.monotonic() + ANSWER_S
    seconds_until(lambda: knows(image), f"containerd does not know {image}", deadline - time.monotonic())
