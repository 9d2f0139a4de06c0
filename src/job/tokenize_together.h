// Tokenizing once, by all ranks side by side, with what was done kept for the next run.
#pragma once

#include <cstdint>
#include <filesystem>

#include "src/comm/communicator.h"
#include "src/data/dataset.h"
#include "src/report/console.h"

namespace lora_dist {

/// The same as load_dataset on every rank, to the bit and to the text of an error. Rank 0 hashes what the tokens depend on; where
/// `cache_folder` has them, every rank maps that file. Otherwise each rank tokenizes its share of the rows, all parts go to rank
/// 0, and rank 0 writes the file. A rank that does not see the file (a disk of its own) gets its content from rank 0. Empty
/// `cache_folder`: nothing is kept. A cache that cannot be read or written is a warning. Collective; the ranks wait for each
/// other without a limit of time. Throws Error, the same on every rank.
Dataset tokenize_together(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size,
                          const std::filesystem::path& cache_folder, Communicator& world, const Console& console);

}  // namespace lora_dist
