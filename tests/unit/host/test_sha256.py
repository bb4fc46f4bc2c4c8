import hashlib
import subprocess
import sys

import pytest

from cdi_refreshd.host import sha256


@pytest.mark.parametrize("content", [b"", b"cdiVersion", bytes(range(256)) * 500])
def test_the_digest_equals_that_of_hashlib(content):
    assert sha256.hexdigest(content) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("missing", ["", "sys.modules['_sha2'] = sys.modules['_sha256'] = None;"])
def test_openssl_is_loaded_only_where_python_has_none_of_its_own(missing):
    use = "print('_hashlib' in sys.modules, len(sha256.hexdigest(b'')))"
    code = f"import sys; {missing} from cdi_refreshd.host import sha256; {use}"
    reported = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert reported == [str(bool(missing)), "64"]
