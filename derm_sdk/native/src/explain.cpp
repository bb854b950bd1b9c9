#include "explain.h"

#include <algorithm>
#include <cmath>

#include "arithmetic.h"
#include "failure.h"

namespace derm {
namespace {

using std::size_t;

constexpr float region_share = 0.5F;  // of the maximum: what is below it does not belong to the strongest region
constexpr size_t region_grid = 128;   // cells along a side on which the region is found

// The deepest head that tells the node from anything, and which of its labels lead to it.
std::optional<Target> last_deciding(const Bundle& bundle, size_t node) {
    const Taxonomy& tree = bundle.taxonomy;
    std::optional<Target> found;
    size_t deepest = 0;
    for (size_t i = 0; i < bundle.composition.heads().size(); ++i) {
        const Head& head = bundle.composition.heads()[i];
        Target target{node, i, {}};
        for (const size_t label : head.labels) {
            target.inside.push_back(label == node || tree.is_below(label, node) || tree.is_below(node, label));
        }
        const auto inside = std::count(target.inside.begin(), target.inside.end(), true);
        const size_t depth = head.given == none ? 0 : 1 + tree.nodes()[head.given].level;
        if (inside > 0 && static_cast<size_t>(inside) < head.labels.size() && (!found || depth >= deepest)) {
            found = target;
            deepest = depth;
        }
    }
    return found;
}

std::optional<Target> explainable(const Bundle& bundle, size_t node) {
    std::optional<Target> found = last_deciding(bundle, node);
    return found && bundle.graphs[found->head].explains ? found : std::nullopt;
}

// The best of the topmost nodes that can be explained.
std::optional<Target> best_topmost(const Bundle& bundle, const std::vector<double>& probabilities) {
    std::optional<Target> found;
    const std::vector<Node>& nodes = bundle.taxonomy.nodes();
    for (size_t node = 0; node < nodes.size(); ++node) {
        const std::optional<Target> able = explainable(bundle, node);
        const bool higher = able && (!found || nodes[node].level < nodes[found->node].level);
        const bool better = able && found && nodes[node].level == nodes[found->node].level &&
                            probabilities[node] > probabilities[found->node];
        if (higher || better) {
            found = able;
        }
    }
    return found;
}

// The two cells around a place of an axis, and how far it is from the first to the second.
struct Between {
    size_t first, second;
    float part;
};

std::vector<Between> between(size_t fine, size_t cells) {
    std::vector<Between> found;
    for (size_t i = 0; i < fine; ++i) {
        const double place = (static_cast<double>(i) + 0.5) / static_cast<double>(fine);
        const double scaled = place * static_cast<double>(cells);
        const double at = std::min(std::max(scaled - 0.5, 0.0), static_cast<double>(cells - 1));
        const auto first = static_cast<size_t>(std::floor(at));
        found.push_back({first, std::min(first + 1, cells - 1), static_cast<float>(at - std::floor(at))});
    }
    return found;
}

// Bilinear between the cells' centres, held beyond the outermost ones; every operation in single precision.
std::vector<float> sample(const HeatMap& map, const std::vector<Between>& down, const std::vector<Between>& across) {
    std::vector<float> fine;
    for (const Between& y : down) {
        std::vector<float> row(map.columns);
        for (size_t x = 0; x < map.columns; ++x) {
            const float upper = map.heat[y.first * map.columns + x] * (1.0F - y.part);
            const float lower = map.heat[y.second * map.columns + x] * y.part;
            row[x] = upper + lower;
        }
        for (const Between& x : across) {
            const float left = row[x.first] * (1.0F - x.part);
            const float right = row[x.second] * x.part;
            fine.push_back(left + right);
        }
    }
    return fine;
}

// The places that reach a level and are connected with one of them over edges: left, top, right, bottom, both included.
std::array<size_t, 4> connected(const std::vector<float>& fine, size_t columns, size_t start, float level) {
    std::vector<bool> seen(fine.size(), false);
    std::vector<size_t> open{start};
    seen[start] = true;
    std::array<size_t, 4> found{start % columns, start / columns, start % columns, start / columns};
    const auto visit = [&](size_t place) {
        if (!seen[place] && fine[place] >= level) {
            seen[place] = true;
            open.push_back(place);
        }
    };
    while (!open.empty()) {
        const size_t place = open.back(), x = place % columns, y = place / columns;
        open.pop_back();
        found = {std::min(found[0], x), std::min(found[1], y), std::max(found[2], x), std::max(found[3], y)};
        if (x > 0) visit(place - 1);
        if (x + 1 < columns) visit(place + 1);
        if (y > 0) visit(place - columns);
        if (place + columns < fine.size()) visit(place + columns);
    }
    return found;
}

// A part of the square, in shares of its sides, as whole pixels of the photo that hold it.
std::optional<std::array<long, 4>> box_on(const Frame& frame, double left, double top, double right, double bottom) {
    const auto place = [](long start, double share, long length) { return static_cast<double>(start) + share * static_cast<double>(length); };
    const std::array<long, 4> found{
        std::max(static_cast<long>(std::floor(place(frame.left, left, frame.width))), 0L),
        std::max(static_cast<long>(std::floor(place(frame.top, top, frame.height))), 0L),
        std::min(static_cast<long>(std::ceil(place(frame.left, right, frame.width))), frame.photo_width),
        std::min(static_cast<long>(std::ceil(place(frame.top, bottom, frame.height))), frame.photo_height)};
    return found[0] < found[2] && found[1] < found[3] ? std::optional(found) : std::nullopt;
}

void find_region(HeatMap& map, const Frame& frame) {
    const size_t rows = std::max(region_grid, map.rows), columns = std::max(region_grid, map.columns);
    const std::vector<float> fine = sample(map, between(rows, map.rows), between(columns, map.columns));
    const auto most = static_cast<size_t>(std::max_element(fine.begin(), fine.end()) - fine.begin());
    if (!(fine[most] > 0)) {
        return;
    }
    const auto share = [](double number, size_t count) { return number / static_cast<double>(count); };
    const double x = share(static_cast<double>(most % columns) + 0.5, columns), y = share(static_cast<double>(most / columns) + 0.5, rows);
    map.peak = {static_cast<long>(std::floor(static_cast<double>(frame.left) + x * static_cast<double>(frame.width))),
                static_cast<long>(std::floor(static_cast<double>(frame.top) + y * static_cast<double>(frame.height)))};
    const std::array<size_t, 4> edges = connected(fine, columns, most, region_share * fine[most]);
    map.box = box_on(frame, share(static_cast<double>(edges[0]), columns), share(static_cast<double>(edges[1]), rows),
                     share(static_cast<double>(edges[2] + 1), columns), share(static_cast<double>(edges[3] + 1), rows));
}

}  // namespace

std::vector<double> Target::weights(const std::vector<double>& shares) const {
    std::vector<double> groups[2], weights;
    for (size_t i = 0; i < shares.size(); ++i) {
        groups[inside[i] ? 1 : 0].push_back(std::max(shares[i], 1e-300));
    }
    const double sums[2] = {total(groups[0]), total(groups[1])};
    for (size_t i = 0; i < shares.size(); ++i) {
        const double possible = std::max(shares[i], 1e-300);
        weights.push_back(inside[i] ? possible / sums[1] : -possible / sums[0]);
    }
    return weights;
}

Target target_of(const Bundle& bundle, size_t node, size_t answer, const std::vector<double>& probabilities) {
    const bool asked = node != none;
    std::optional<Target> found;
    for (size_t at = asked ? node : answer; at != none && !found; at = asked ? none : bundle.taxonomy.nodes()[at].parent) {
        found = explainable(bundle, at);
    }
    if (!found && !asked) {
        found = best_topmost(bundle, probabilities);
    }
    require(found.has_value(), DERM_ARGUMENT_NO_EXPLAIN, asked ? bundle.taxonomy.nodes()[node].id : "");
    return *found;
}

Frame Frame::of(long width, long height, Fit fit) {
    if (fit == Fit::stretch) {
        return {0, 0, width, height, width, height};
    }
    if (fit == Fit::crop) {
        const long side = std::min(width, height);
        return {(width - side) / 2, (height - side) / 2, side, side, width, height};
    }
    const long side = std::max(width, height);
    return {-((side - width) / 2), -((side - height) / 2), side, side, width, height};
}

HeatMap heat_map(const std::vector<double>& evidence, const std::vector<double>& weights, size_t rows, size_t columns,
                 const Frame& frame) {
    HeatMap map{rows, columns, {}, {}, {}};
    std::vector<double> positive, terms(weights.size());
    for (size_t place = 0; place < rows * columns; ++place) {
        for (size_t k = 0; k < weights.size(); ++k) {
            terms[k] = evidence[place * weights.size() + k] * weights[k];
        }
        positive.push_back(std::max(total(terms), 0.0));
    }
    const double most = *std::max_element(positive.begin(), positive.end());
    for (const double value : positive) {
        map.heat.push_back(static_cast<float>(most > 0 ? value / most : value));
    }
    find_region(map, frame);
    return map;
}

}  // namespace derm
