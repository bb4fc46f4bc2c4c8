// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* A stand-in for nvidia-modeset: minor 254 of the driver's major number. */
#include <linux/fs.h>
#include <linux/module.h>

#define MAJOR_NUMBER 195
#define MINOR_NUMBER 254

static const struct file_operations file = { .owner = THIS_MODULE };

static int __init modeset_init(void)
{
	return __register_chrdev(MAJOR_NUMBER, MINOR_NUMBER, 1, "nvidia-modeset", &file);
}

static void __exit modeset_exit(void)
{
	__unregister_chrdev(MAJOR_NUMBER, MINOR_NUMBER, 1, "nvidia-modeset");
}

module_init(modeset_init);
module_exit(modeset_exit);
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: nvidia");
MODULE_DESCRIPTION("A stand-in for nvidia-modeset");
