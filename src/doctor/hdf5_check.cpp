// Checks HDF5's versions and one file.
#include "src/doctor/hdf5_check.h"

#include <fmt/format.h>

#include <vector>

#include "src/core/error_of.h"
#include "src/io/hdf5_file.h"

namespace lora_dist {

Hdf5Facts look_at_hdf5(const std::filesystem::path& folder, int rank) {
  Hdf5Facts facts;
  facts.library = hdf5_library();
  if (folder.empty()) {
    return facts;
  }
  facts.tried = true;
  const std::optional<Error> error = error_of([&] {
    const std::filesystem::path file = folder / fmt::format("hdf5_{}.h5", rank);
    std::vector<float> values(1 << 18);
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(i) * 0.5F;
    }
    Hdf5Writer writer(file);
    writer.write("values", values);
    writer.close();
    std::vector<float> back(values.size());
    Hdf5Reader(file).read("values", 0, back);
    if (back != values) {
      facts.problem = fmt::format("{} does not read back as it was written", file.string());
    }
  });
  if (error) {
    facts.problem = error->what();
  }
  return facts;
}

std::vector<Finding> judge_hdf5(const Hdf5Facts& facts) {
  constexpr const char* kCheck = "HDF5";
  const Hdf5Library& library = facts.library;
  const std::string version = fmt::format("{}, {}", library.version, library.parallel ? "parallel (used serially)" : "serial");
  if (!facts.problem.empty()) {
    return {broken(kCheck, fmt::format("{}: {}", version, facts.problem),
                   "try another output.dir, or another HDF5 on LD_LIBRARY_PATH")};
  }
  if (library.version != library.built_with) {
    return {warning(kCheck, fmt::format("{}, and the program was built with {}", version, library.built_with),
                    "load the module that it was built with, or build it again")};
  }
  return {ok(kCheck, version + (facts.tried ? "; a file with checksums was written and read back" : ""))};
}

}  // namespace lora_dist
