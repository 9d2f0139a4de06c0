// Versions and flavour of the HDF5 library.
#pragma once

#include <string>

namespace lora_dist {

struct Hdf5Library {
  std::string version;     // of the library that is loaded: "1.10.8"
  std::string built_with;  // of the headers
  bool parallel = false;   // the headers are of the MPI flavour
};

Hdf5Library hdf5_library();

}  // namespace lora_dist
