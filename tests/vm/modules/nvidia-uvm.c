// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* A stand-in for nvidia-uvm: a character device whose major number the kernel chooses. */
#include <linux/fs.h>
#include <linux/module.h>

static const struct file_operations file = { .owner = THIS_MODULE };
static int major;

static int __init uvm_init(void)
{
	major = register_chrdev(0, "nvidia-uvm", &file);
	return major < 0 ? major : 0;
}

static void __exit uvm_exit(void)
{
	unregister_chrdev(major, "nvidia-uvm");
}

module_init(uvm_init);
module_exit(uvm_exit);
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: nvidia");
MODULE_DESCRIPTION("A stand-in for nvidia-uvm");
