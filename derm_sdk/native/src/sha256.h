// SHA-256 (FIPS 180-4) and CRC-32 (as in ZIP).

#ifndef DERM_SHA256_H
#define DERM_SHA256_H

#include <cstdint>
#include <string>
#include <string_view>

namespace derm {

std::string sha256_hex(std::string_view data);
std::uint32_t crc32(std::string_view data);

}  // namespace derm

#endif
