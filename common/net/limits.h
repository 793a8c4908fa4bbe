// What client, coordinator and worker must agree on about their gRPC connections.
#pragma once

namespace lockstep {

// One limit for both directions of every channel: gRPC sets it per server, so the clients' requests and the
// agents' stream share it. Far above any honest request: a spec is a few kB, chunks are at most 1 MiB, agents
// batch their reports. Beyond it a call fails with RESOURCE_EXHAUSTED.
inline constexpr int kMaxMessageBytes = 16 << 20;

inline constexpr int kMaxChunkBytes = 1 << 20;  // ReadShard and DownloadModel

// What one connection may cost the server.
inline constexpr int kMaxStreamsPerConnection = 128;  // more wait at the client
inline constexpr int kMaxHeaderBytes = 16 << 10;      // of a call's metadata
inline constexpr int kHandshakeTimeoutMs = 10'000;    // of a peer that connects and says nothing

// A peer that answers no ping for this long is gone. The interval is also the least that the server
// tolerates.
inline constexpr int kKeepaliveIntervalMs = 2000;
inline constexpr int kKeepaliveTimeoutMs = 2000;

}  // namespace lockstep
