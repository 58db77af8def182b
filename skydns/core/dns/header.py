"""The header of a DNS message: its size and the bits of its flags (RFC 1035, 4.1.1)."""

HEADER_BYTES = 12

QR = 0x8000
OPCODE = 0x7800
AA = 0x0400
TC = 0x0200
RD = 0x0100
RA = 0x0080
AD = 0x0020  # RFC 4035, 3.2.3
CD = 0x0010  # RFC 4035, 3.2.2
RCODE = 0x000F
