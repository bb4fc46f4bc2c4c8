// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A PCI bus, in a domain of its own, whose slots answer as NVIDIA GPUs.
 *
 * The parameter `present` is a mask of the slots that answer; it may be changed at any time; a rescan reads it.
 * Everything else is the kernel's own PCI code: /sys/bus/pci/devices/.../remove, /sys/bus/pci/rescan, bind and unbind.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>

#define DOMAIN 1
#define VENDOR_DEVICE 0x233010de /* H100 SXM5 */
#define SUBSYSTEM 0x16c110de
#define CLASS_REVISION 0x030200a1 /* a 3D controller */

static unsigned int present = 0x3;
module_param(present, uint, 0644);

static struct pci_sysdata sysdata = { .domain = DOMAIN, .node = NUMA_NO_NODE };
static struct resource bus_numbers = { .name = "gpubus", .flags = IORESOURCE_BUS };
static struct platform_device *parent;
static struct pci_bus *bus;

static u32 config_word(int where)
{
	switch (where) {
	case PCI_VENDOR_ID:
		return VENDOR_DEVICE;
	case PCI_CLASS_REVISION:
		return CLASS_REVISION;
	case PCI_SUBSYSTEM_VENDOR_ID:
		return SUBSYSTEM;
	default:
		return 0; /* no BARs, no interrupt, no capabilities */
	}
}

static int config_read(struct pci_bus *on, unsigned int devfn, int where, int size, u32 *value)
{
	u32 word = config_word(where & ~3) >> (8 * (where & 3));

	if (PCI_FUNC(devfn) || !(present & BIT(PCI_SLOT(devfn)))) {
		*value = ~0;
		return PCIBIOS_DEVICE_NOT_FOUND;
	}
	*value = size == 4 ? word : word & (BIT(8 * size) - 1);
	return PCIBIOS_SUCCESSFUL;
}

static int config_write(struct pci_bus *on, unsigned int devfn, int where, int size, u32 value)
{
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops config = { .read = config_read, .write = config_write };

static int __init gpubus_init(void)
{
	LIST_HEAD(resources);

	parent = platform_device_register_simple("gpubus", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	pci_add_resource(&resources, &bus_numbers);
	bus = pci_create_root_bus(&parent->dev, 0, &config, &sysdata, &resources);
	if (!bus) {
		pci_free_resource_list(&resources);
		platform_device_unregister(parent);
		return -ENODEV;
	}
	pci_scan_child_bus(bus);
	pci_bus_add_devices(bus);
	return 0;
}

static void __exit gpubus_exit(void)
{
	pci_lock_rescan_remove();
	pci_stop_root_bus(bus);
	pci_remove_root_bus(bus);
	pci_unlock_rescan_remove();
	platform_device_unregister(parent);
}

module_init(gpubus_init);
module_exit(gpubus_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A PCI bus of stand-in GPUs");
