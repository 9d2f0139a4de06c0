// The versions of HDF5's library and headers.
#include "src/io/hdf5_library.h"

#include <fmt/format.h>
#include <hdf5.h>

namespace lora_dist {

Hdf5Library hdf5_library() {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned release = 0;
  H5get_libversion(&major, &minor, &release);
  Hdf5Library library;
  library.version = fmt::format("{}.{}.{}", major, minor, release);
  library.built_with = fmt::format("{}.{}.{}", H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
#ifdef H5_HAVE_PARALLEL
  library.parallel = true;
#endif
  return library;
}

}  // namespace lora_dist
