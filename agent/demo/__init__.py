"""One study end to end on one machine: a drawn film, a loopback PACS, the five processes, a picture of the result."""
