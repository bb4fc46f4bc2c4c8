"""cdi-refreshd in a virtual machine: systemd, udev and kernel modules are real, the GPUs and their driver stand-ins.

    make vm-test                                everything, as a test
    python -m tests.vm scenarios [NAME ...]     the scenarios, or some of them, with their times
    python -m tests.vm boots [NAME ...]         boots with the package installed and engines enabled, or some of them
    python -m tests.vm run FOLDER OUT           boot, run FOLDER/run as root, bring back /out

All of it needs root and the packages of `tests/packages vm`, and plays with the Debian package that `make deb` left in
dist/. The image is built once, which takes minutes, and kept in $VM_DIR, or else in ~/.cache/cdi-refreshd.
VM_ACCEL=tcg or kvm chooses how the machine is made; kvm is the default where the processor offers it.

| file | holds |
|---|---|
| `image.py` | the guest's disk |
| `vm.py` | one boot: a folder goes in, what it did comes out |
| `modules/` | stand-in kernel modules: the bus of GPUs and the driver |
| `guest/` | the unit that does a job in the guest; for boots, engines that Debian has no package of |
| `job/` | the job that installs the product and plays the scenarios |
| `scenarios/` | what befalls the machine, and how long the spec takes to follow |
| `scenarios/booting.py` | what the machine is before it boots, and what is to come of it; prints all times |
"""
