// Which ranks the others wait for. A step ends for all when the slowest has done its own part, so that the
// time that a rank spends in the collective says nothing of it; what it spends on its own part, against the
// others, does. A rank whose links are slow is a straggler as well: those whose messages take long from their
// first byte to their last, in either direction (a message that comes late but at once is no sign: its sender
// may have waited for another's). Of two ranks nobody can tell whose link it is. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lockstep {

// Of one rank, seconds for each step on average.
struct RankStep {
  double input = 0;                   // waited for its batch
  double compute = 0;                 // gradient and update
  double communication = 0;           // in the collective, most of it waiting for others
  std::vector<double> arriving = {};  // by rank: of communication, while a message of that one's was coming
  double checkpoint = 0;              // the copy of the state, as far as the step waits for it
  int shards = 1;                     // it works on: its input and its compute are for so many
  double own() const { return input + compute + checkpoint; }
};

// Its own part (against the others' pace at its number of shards), or else its links to most of the others,
// take half as long again as the median of the others', and a tenth of the step is lost to that. With
// `flagged` (it was one before) less is enough, so that a rank at the limit does not flicker. nullopt: no
// straggler. Else why, for people: "compute: 12 ms of a step, the others 5 ms"; the word is one of input,
// compute, checkpoint, communication. REQUIRES: rank < ranks.size(), ranks.size() >= 2.
std::optional<std::string> WhyStraggler(const std::vector<RankStep>& ranks, size_t rank, bool flagged);

// The slowest over the median (of an even number, the lower of the two in the middle), of what is each rank's
// own part of a step, in seconds; 0: the median is. REQUIRES: !own.empty().
double StragglerRatio(std::vector<double> own);

}  // namespace lockstep
