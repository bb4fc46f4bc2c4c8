"""Pure: values in, values out. Nothing here imports os, a clock, a socket, logging, or host/."""
