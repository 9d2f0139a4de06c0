// A datatype for pieces of parts that lie far apart.
#pragma once

#include <mpi.h>

#include <cstddef>

#include "src/comm/mpi_check.h"

namespace lora_dist {

/// Where one piece of every rank's part lands: `length` bytes, one rank's part being `part` bytes after the last one's. The
/// stride is an MPI_Aint, so that a gathered whole above 2^31 bytes needs no 32-bit displacement.
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
  ~PieceType() { MPI_Type_free(&type_); }  // MPI keeps it alive for a call under way

  MPI_Datatype get() const { return type_; }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

}  // namespace lora_dist
