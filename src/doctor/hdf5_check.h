// Checks that the HDF5 library matches the build, and can write and read a file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/doctor/finding.h"
#include "src/io/hdf5_library.h"

namespace lora_dist {

struct Hdf5Facts {
  Hdf5Library library;
  bool tried = false;   // a trial folder was available
  std::string problem;  // of writing or reading back
};

/// Writes a file like a checkpoint's, of 1 MiB, into `folder` (empty: skips it) and reads it back. `rank` is part of its name.
Hdf5Facts look_at_hdf5(const std::filesystem::path& folder, int rank);

std::vector<Finding> judge_hdf5(const Hdf5Facts& facts);

}  // namespace lora_dist
