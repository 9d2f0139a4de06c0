// Whether HDF5 is the one that the program was built with, and writes what it reads back.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/doctor/finding.h"
#include "src/io/hdf5_library.h"

namespace lora_dist {

struct Hdf5Facts {
  Hdf5Library library;
  bool tried = false;   // there was a folder to try it in
  std::string problem;  // of writing or reading back
};

/// Writes a checkpoint's kind of file, 1 MiB, into `folder` (empty: does not) and reads it back. `rank` names it.
Hdf5Facts look_at_hdf5(const std::filesystem::path& folder, int rank);

std::vector<Finding> judge_hdf5(const Hdf5Facts& facts);

}  // namespace lora_dist
