#pragma once
// PeerAddress: who is at the other end of a connection, for limits per address. An IPv4 address, or
// the /64 network of an IPv6 one (a host commonly has as many addresses as it wants within it).
//
// A plain value; nothing of Asio.

#include <array>
#include <compare>
#include <cstdint>

namespace quire::server {

struct PeerAddress {
  std::array<std::uint8_t, 8> bytes{};  // all zero: not known
  bool loopback = false;
  friend auto operator<=>(const PeerAddress&, const PeerAddress&) = default;
};

}  // namespace quire::server
