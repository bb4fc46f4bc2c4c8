"""UMockdev's testbed, by lines of JSON: a method and its arguments, as the library names them."""

import json
import sys

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev  # noqa: E402

testbed = UMockdev.Testbed.new()
print(json.dumps(testbed.get_root_dir()), flush=True)
for line in sys.stdin:
    method, *arguments = json.loads(line)
    print(json.dumps(getattr(testbed, method)(*arguments)), flush=True)
