// Operations that JavaScript requests, and the steps of a reduction.
#pragma once
#define NAPI_VERSION 8
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#include <node_api.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "wire.h"

namespace simdformer {

// An operation that JavaScript requested. References keep its arrays alive until the result is delivered.
struct Operation {
  enum Kind { kExchange, kReduce, kBroadcast, kAllGather };

  explicit Operation(Kind kind) : kind(kind) {}

  const Kind kind;
  char* data = nullptr;
  size_t bytes = 0;
  float* sum = nullptr;
  size_t part = 0;
  bool isFirst = false, isLast = false;
  Wire wire = Wire::kFloat32;
  int root = 0;
  std::vector<char> result;  // result of an exchange: the bytes of all ranks, in the order of ranks
  std::vector<int> lengths;  // length of each rank's part
  std::string error;
  napi_deferred deferred = nullptr;
  napi_ref array = nullptr, sumArray = nullptr;
};

// A reduction in progress, of values [ranks · part] on each rank. Rank r first receives part r of all ranks and adds it
// up: sum = ((sum + v₀) + v₁) + …. The order of ranks is fixed, whatever the order of arrival. Then all ranks gather
// the sums of all parts.
//
// 32-bit numbers are sent and received in place, because on one machine copies are most of a reduction's cost.
class Reduction {
 public:
  Reduction(int rank, int size) : rank_(rank), size_(size), counts_(size), from_(size), to_(size) {}

  Operation* operation = nullptr;
  MPI_Request request = MPI_REQUEST_NULL;
  bool isGathering = false, isDone = false;

  void start(Operation& asked, MPI_Comm comm) {
    operation = &asked;
    isGathering = isDone = false;
    const int part = static_cast<int>(asked.part);
    counts_.assign(size_, part);
    counts_[rank_] = 0;
    for (int rank = 0, others = 0; rank < size_; rank++) {
      from_[rank] = rank * part;
      to_[rank] = others * part;
      if (rank != rank_) others++;
    }
    if (!isWhole()) pack(values(), asked.part * size_, asked.wire, packed_);
    const void* sent = isWhole() ? static_cast<const void*>(asked.data) : packed_.data();
    received_.resize(asked.part * size_ * (isWhole() ? sizeof(float) : sizeof(uint16_t)));
    MPI_Ialltoallv(sent, counts_.data(), from_.data(), type(), received_.data(), counts_.data(), to_.data(), type(),
                   comm, &request);
  }

  // Adds up this rank's part and requests the sums of the other parts. Returns false if later batches still add to the
  // sum.
  bool gather(MPI_Comm comm) {
    addUp();
    if (!operation->isLast) return false;
    isGathering = true;
    const size_t part = operation->part;
    void* all = operation->data;
    if (!isWhole()) {
      pack(values() + from_[rank_], part, operation->wire, packed_);
      std::memcpy(received_.data() + from_[rank_] * sizeof(uint16_t), packed_.data(), packed_.size());
      all = received_.data();
    }
    MPI_Iallgather(MPI_IN_PLACE, 0, type(), all, static_cast<int>(part), type(), comm, &request);
    return true;
  }

  void finish() {
    if (isGathering && !isWhole()) unpack(received_.data(), 0, operation->part * size_, operation->wire, values());
    isDone = true;
  }

 private:
  void addUp() {
    float* own = values() + from_[rank_];
    constexpr size_t kBlock = 2048;
    float sums[kBlock], room[kBlock];
    for (size_t start = 0; start < operation->part; start += kBlock) {
      const size_t count = std::min(kBlock, operation->part - start);
      for (int rank = 0; rank < size_; rank++) {
        const float* theirs = valuesOf(rank, start, count, room);
        if (rank == 0 && operation->isFirst) {
          std::copy_n(theirs, count, sums);
          continue;
        }
        const float* before = rank == 0 ? operation->sum + start : sums;
        for (size_t i = 0; i < count; i++) sums[i] = before[i] + theirs[i];
      }
      std::copy_n(sums, count, (operation->isLast ? own : operation->sum) + start);
    }
  }

  // Returns `count` of a rank's values for this rank. Own values are rounded like values that were sent.
  const float* valuesOf(int rank, size_t start, size_t count, float* room) const {
    const bool isOwn = rank == rank_;
    const size_t at = (isOwn ? from_[rank] : to_[rank]) + start;
    if (isWhole()) return (isOwn ? values() : reinterpret_cast<const float*>(received_.data())) + at;
    unpack((isOwn ? packed_ : received_).data(), at, count, operation->wire, room);
    return room;
  }

  float* values() const { return reinterpret_cast<float*>(operation->data); }
  bool isWhole() const { return operation->wire == Wire::kFloat32; }
  MPI_Datatype type() const { return isWhole() ? MPI_FLOAT : MPI_UINT16_T; }

  const int rank_, size_;
  std::vector<int> counts_, from_, to_;
  std::vector<char> packed_, received_;
};

}  // namespace simdformer
