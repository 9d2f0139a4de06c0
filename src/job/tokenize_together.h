// Tokenizes data once with all ranks, and caches the tokens for the next run.
#pragma once

#include <cstdint>
#include <filesystem>

#include "src/comm/communicator.h"
#include "src/data/dataset.h"
#include "src/report/console.h"

namespace lora_dist {

/// Equals load_dataset on every rank, to the bit and to the text of an error. Rank 0 hashes what the tokens depend on; if
/// `cache_folder` has that hash, every rank maps its file. Else each rank tokenizes its share of the rows, rank 0 gathers all
/// parts and writes the file. A rank that does not see the file (a disk of its own) receives its content from rank 0. Empty
/// `cache_folder`: no cache. A cache that cannot be read or written causes a warning. Collective; ranks wait for each other
/// without a time limit. Throws Error, the same on every rank.
Dataset tokenize_together(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size,
                          const std::filesystem::path& cache_folder, Communicator& world, const Console& console);

}  // namespace lora_dist
