"""cdi-refreshd in a virtual machine: systemd, udev and kernel modules are real, the GPUs and their driver stand-ins.

    make vm-test                                everything, as a test
    python -m tests.vm scenarios [NAME ...]     the scenarios, or some of them, with their times
    python -m tests.vm boots [NAME ...]         boots with the package and container runtimes enabled, or some of them
    python -m tests.vm run FOLDER OUT           boot, run FOLDER/run as root, bring back /out

`--debian 13` takes that release instead of 12. All of it needs root and the packages of `tests/packages vm`, and plays
with the Debian package that `make deb` left in dist/. An image is built once, which takes minutes, and kept in $VM_DIR,
or else in ~/.cache/cdi-refreshd.
VM_ACCEL=tcg or kvm chooses how the machine is made; kvm is the default where the processor offers it.

| file | holds |
|---|---|
| `image.py` | the guest's disk |
| `vm.py` | one boot: a folder goes in, what it did comes out |
| `modules/` | stand-in kernel modules: the bus of GPUs and the driver |
| `guest/` | the unit that does a job in the guest; for boots, services that Debian has no package of |
| `job/` | the job that installs the product and plays the scenarios |
| `container_image.py` | the image that all container runtimes load, made of the guest's own files |
| `scenarios/` | what happens to the machine, and how long the spec takes to follow |
| `scenarios/containers.py` | container runtimes with NVIDIA's toolkit and without, in a machine of their own |
| `scenarios/booting.py` | what the machine is before it boots, and what is expected then; prints all times |
"""
