// An MPI datatype for pieces that are far apart.
#pragma once

#include <mpi.h>

#include <cstddef>

#include "src/comm/mpi_check.h"

namespace lora_dist {

/// One piece of each rank's part: `length` bytes with a stride of `part` bytes between ranks. The stride is an MPI_Aint, so a
/// gathered whole may exceed 2^31 bytes.
class PieceType {
 public:
  PieceType(std::size_t length, std::size_t part) {
    MPI_Datatype bytes = MPI_DATATYPE_NULL;
    check_mpi(MPI_Type_contiguous(static_cast<int>(length), MPI_BYTE, &bytes), "datatype");
    const int code = MPI_Type_create_resized(bytes, 0, static_cast<MPI_Aint>(part), &type_);
    MPI_Type_free(&bytes);
    check_mpi(code, "datatype");
    check_mpi(MPI_Type_commit(&type_), "datatype");
  }
  PieceType(const PieceType&) = delete;
  PieceType& operator=(const PieceType&) = delete;
  ~PieceType() { MPI_Type_free(&type_); }  // MPI keeps it alive for pending calls

  MPI_Datatype get() const { return type_; }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

}  // namespace lora_dist
