// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A stand-in for NVIDIA's kernel driver. It binds the functions of gpubus, answers for /dev/nvidia0 .. and nvidiactl, and
 * shows the same in /proc/driver/nvidia as the real driver.
 *
 * The parameter `mig` is a mask of the GPU instances of the first GPU, each with one compute instance; the stand-in NVML
 * reads it, too. The real driver knows 15 GPU instances of 8 compute instances each, and so does mig-minors here.
 */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/wait.h>

#define MAJOR_NUMBER 195
#define CONTROL_MINOR 255
#define SLOTS 32
#define GPUS 8
#define INSTANCES 15
#define COMPUTE_INSTANCES 8
#define FIRST_CAPABILITY 3 /* 1 and 2 are config and monitor */

static struct proc_dir_entry *top, *gpus, *first_mig;
static int capability_major;
static unsigned long mig;
static bool bound[SLOTS];
static atomic_t users[SLOTS];
static DECLARE_WAIT_QUEUE_HEAD(released);

/* Device nodes: a GPU that is open is not released, just as the real driver waits for its users. */

static int gpu_open(struct inode *inode, struct file *file)
{
	unsigned int minor = iminor(inode);

	if (minor == CONTROL_MINOR)
		return 0;
	if (minor >= SLOTS || !bound[minor])
		return -ENODEV;
	atomic_inc(&users[minor]);
	return 0;
}

static int gpu_release(struct inode *inode, struct file *file)
{
	unsigned int minor = iminor(inode);

	if (minor < SLOTS && atomic_dec_and_test(&users[minor]))
		wake_up(&released);
	return 0;
}

static ssize_t gpu_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	return 0;
}

static const struct file_operations gpu_file = {
	.owner = THIS_MODULE,
	.open = gpu_open,
	.release = gpu_release,
	.read = gpu_read,
};
static const struct file_operations capability_file = { .owner = THIS_MODULE };

/* /proc/driver/nvidia */

static int show_version(struct seq_file *out, void *unused)
{
	seq_puts(out, "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  " DRIVER_VERSION "  Release Build\n");
	seq_puts(out, "GCC version:  stand-in\n");
	return 0;
}

static int show_information(struct seq_file *out, void *unused)
{
	long slot = (long)out->private;

	seq_puts(out, "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 0\n");
	seq_printf(out, "GPU UUID: \t GPU-00000000-0000-4000-8000-%012lx\n", slot);
	seq_printf(out, "Bus Type: \t PCIe\nBus Location: \t 0001:00:%02lx.0\n", slot);
	seq_printf(out, "Device Minor: \t %ld\nGPU Firmware: \t " DRIVER_VERSION "\n", slot);
	return 0;
}

static int show_capability(struct seq_file *out, void *unused)
{
	long minor = (long)out->private;
	int mode = minor == 1 ? 0400 : 0444;

	seq_printf(out, "DeviceFileMinor: %ld\nDeviceFileMode: %d\nDeviceFileModify: 1\n", minor, mode);
	return 0;
}

static long capability_of(int gpu, int gi)
{
	return FIRST_CAPABILITY + (gpu * INSTANCES + gi) * (1 + COMPUTE_INSTANCES);
}

static int show_minors(struct seq_file *out, void *unused)
{
	int gpu, gi, ci;

	seq_puts(out, "config 1\nmonitor 2\n");
	for (gpu = 0; gpu < GPUS; gpu++)
		for (gi = 0; gi < INSTANCES; gi++) {
			seq_printf(out, "gpu%d/gi%d/access %ld\n", gpu, gi, capability_of(gpu, gi));
			for (ci = 0; ci < COMPUTE_INSTANCES; ci++)
				seq_printf(out, "gpu%d/gi%d/ci%d/access %ld\n", gpu, gi, ci, capability_of(gpu, gi) + 1 + ci);
		}
	return 0;
}

static void show_access(struct proc_dir_entry *in, const char *name, long minor)
{
	proc_create_single_data(name, 0444, in, show_capability, (void *)minor);
}

static void create_instance(int gi)
{
	struct proc_dir_entry *instance, *compute;
	char name[8];

	snprintf(name, sizeof(name), "gi%d", gi);
	instance = proc_mkdir(name, first_mig);
	show_access(instance, "access", capability_of(0, gi));
	compute = proc_mkdir("ci0", instance);
	show_access(compute, "access", capability_of(0, gi) + 1);
}

static void destroy_instance(int gi)
{
	char name[8];

	snprintf(name, sizeof(name), "gi%d", gi);
	remove_proc_subtree(name, first_mig);
}

static int set_mig(const char *text, const struct kernel_param *param)
{
	unsigned long wanted;
	int gi, error = kstrtoul(text, 0, &wanted);

	if (error)
		return error;
	for (gi = 1; first_mig && gi < INSTANCES; gi++)
		if ((wanted ^ mig) & BIT(gi)) {
			if (wanted & BIT(gi))
				create_instance(gi);
			else
				destroy_instance(gi);
		}
	mig = wanted;
	return 0;
}

static int get_mig(char *text, const struct kernel_param *param)
{
	return sprintf(text, "%lx\n", mig);
}

static const struct kernel_param_ops mig_ops = { .set = set_mig, .get = get_mig };
module_param_cb(mig, &mig_ops, NULL, 0644);

/* The PCI driver */

static void name_of(struct pci_dev *device, char name[16])
{
	int slot = PCI_SLOT(device->devfn);

	snprintf(name, 16, "%04x:%02x:%02x.0", pci_domain_nr(device->bus), device->bus->number, slot);
}

static int nvidia_probe(struct pci_dev *device, const struct pci_device_id *id)
{
	unsigned int slot = PCI_SLOT(device->devfn);
	struct proc_dir_entry *entry;
	char name[16];

	name_of(device, name);
	entry = proc_mkdir(name, gpus);
	proc_create_single_data("information", 0444, entry, show_information, (void *)(long)slot);
	bound[slot] = true;
	return 0;
}

static void nvidia_remove(struct pci_dev *device)
{
	unsigned int slot = PCI_SLOT(device->devfn);
	char name[16];

	bound[slot] = false;
	wait_event(released, atomic_read(&users[slot]) == 0);
	name_of(device, name);
	remove_proc_subtree(name, gpus);
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(0x10de, PCI_ANY_ID), .class = 0x030000, .class_mask = 0xff0000 },
	{ },
};
static struct pci_driver driver = {
	.name = "nvidia",
	.id_table = ids,
	.probe = nvidia_probe,
	.remove = nvidia_remove,
};

static void create_proc(void)
{
	struct proc_dir_entry *capabilities, *all;

	top = proc_mkdir("driver/nvidia", NULL);
	gpus = proc_mkdir("gpus", top);
	proc_create_single("version", 0444, top, show_version);
	capabilities = proc_mkdir("capabilities", top);
	all = proc_mkdir("mig", capabilities);
	show_access(all, "config", 1);
	show_access(all, "monitor", 2);
	first_mig = proc_mkdir("mig", proc_mkdir("gpu0", capabilities));
	proc_mkdir("driver/nvidia-caps", NULL);
	proc_create_single("driver/nvidia-caps/mig-minors", 0444, NULL, show_minors);
}

static void remove_proc(void)
{
	remove_proc_subtree("driver/nvidia-caps", NULL);
	remove_proc_subtree("driver/nvidia", NULL);
}

static int __init nvidia_init(void)
{
	int error;

	error = __register_chrdev(MAJOR_NUMBER, 0, SLOTS, "nvidia", &gpu_file);
	if (error)
		return error;
	error = __register_chrdev(MAJOR_NUMBER, CONTROL_MINOR, 1, "nvidiactl", &gpu_file);
	if (error)
		goto no_control;
	capability_major = register_chrdev(0, "nvidia-caps", &capability_file);
	if (capability_major < 0) {
		error = capability_major;
		goto no_capabilities;
	}
	create_proc();
	error = pci_register_driver(&driver);
	if (!error)
		return 0;
	remove_proc();
	unregister_chrdev(capability_major, "nvidia-caps");
no_capabilities:
	__unregister_chrdev(MAJOR_NUMBER, CONTROL_MINOR, 1, "nvidiactl");
no_control:
	__unregister_chrdev(MAJOR_NUMBER, 0, SLOTS, "nvidia");
	return error;
}

static void __exit nvidia_exit(void)
{
	pci_unregister_driver(&driver);
	remove_proc();
	unregister_chrdev(capability_major, "nvidia-caps");
	__unregister_chrdev(MAJOR_NUMBER, CONTROL_MINOR, 1, "nvidiactl");
	__unregister_chrdev(MAJOR_NUMBER, 0, SLOTS, "nvidia");
}

module_init(nvidia_init);
module_exit(nvidia_exit);
MODULE_LICENSE("GPL");
MODULE_VERSION(DRIVER_VERSION);
MODULE_DESCRIPTION("A stand-in for the NVIDIA driver");
