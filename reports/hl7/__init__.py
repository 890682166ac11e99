"""HL7 v2 over the network: the characters of messages, MLLP out, MLLP in, and what incoming messages mean to us."""
