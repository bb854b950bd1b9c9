// The sentence behind each number of derm.h; a test compares the two.

#include "derm.h"

extern "C" const char* derm_status_text(int32_t status) {
    switch (status) {
        case DERM_OK:
            return "No error.";
        case DERM_ARGUMENT_NULL:
            return "A pointer that is needed is NULL.";
        case DERM_ARGUMENT_SKIN_TYPE:
            return "The skin type must be 1 to 6, or 0 when it is unknown.";
        case DERM_ARGUMENT_THREADS:
            return "The number of threads must be from 1 to 64.";
        case DERM_ARGUMENT_ROUTING:
            return "The routing must be all, lazy or top.";
        case DERM_ARGUMENT_NODE:
            return "The tree of labels has no such node.";
        case DERM_ARGUMENT_LEVEL:
            return "The tree of labels has no such level.";
        case DERM_ARGUMENT_PLACE:
            return "There are not so many of them.";
        case DERM_ARGUMENT_GRAPH:
            return "The model has no such graph or input.";
        case DERM_ARGUMENT_BYTES:
            return "The buffer has another size than is needed.";
        case DERM_ARGUMENT_NO_EXPLAIN:
            return "This model cannot explain that node: no graph that decides it has explanations.";
        case DERM_ARGUMENT_NO_GRAPHS:
            return "The classifier was opened without graphs, so it cannot run them.";
        case DERM_ARGUMENT_CLOSED:
            return "The classifier is closed.";
        case DERM_ARGUMENT_STRUCT:
            return "The field struct_size holds no size that this library knows.";
        case DERM_ARGUMENT_PRIOR_EMPTY:
            return "A prior must name shares of labels.";
        case DERM_ARGUMENT_PRIOR_TWICE:
            return "The prior names a node twice.";
        case DERM_ARGUMENT_PRIOR_SHARE:
            return "The prior of a node must be a share from 1e-12 to 1.";
        case DERM_ARGUMENT_PRIOR_ABOVE:
            return "The prior names a node and one that lies above it; name one of the two.";
        case DERM_ARGUMENT_PRIOR_SUM:
            return "The prior covers the whole tree, so it must add up to 1.";
        case DERM_ARGUMENT_PRIOR_REST:
            return "The prior must leave a share for the labels it does not name.";
        case DERM_ARGUMENT_PRIOR_UNRECORDED:
            return "This model does not record how common its labels were in its training; it takes no prior.";
        case DERM_ARGUMENT_PRIOR_NO_PHOTOS:
            return "The model's training records no photo of a label, so its share cannot be changed.";
        case DERM_ARGUMENT_PRIOR_ROUTING:
            return "A prior needs every graph; leave it out, or take another routing than top.";
        case DERM_IMAGE_FORMAT:
            return "The pixel format must be one of derm_format.";
        case DERM_IMAGE_SIZE:
            return "A photo has 1 to 65535 pixels along a side and at most 100 million in all.";
        case DERM_IMAGE_ROTATION:
            return "The rotation must be 0, 90, 180 or 270 degrees clockwise.";
        case DERM_IMAGE_STRIDE:
            return "The stride is shorter than a row.";
        case DERM_IMAGE_BYTES:
            return "A plane holds fewer bytes than its rows need.";
        case DERM_FILE_READ:
            return "The file cannot be read.";
        case DERM_BUNDLE_START:
            return "This is no .derm file: it does not begin with PK\\3\\4.";
        case DERM_BUNDLE_END:
            return "The .derm file is cut off, or something was put behind its end.";
        case DERM_BUNDLE_TABLE:
            return "The .derm file's table of contents is damaged.";
        case DERM_BUNDLE_TABLE_PLACE:
            return "The .derm file's table of contents is not where its end says it is.";
        case DERM_BUNDLE_TABLE_CUT:
            return "The .derm file's table of contents is cut off.";
        case DERM_BUNDLE_OTHER_TOOL:
            return "The .derm file was packed by another tool.";
        case DERM_BUNDLE_ENCRYPTED:
            return "An entry of the .derm file is encrypted.";
        case DERM_BUNDLE_COMPRESSED:
            return "An entry of the .derm file is compressed; entries must be stored.";
        case DERM_BUNDLE_FLAGS:
            return "An entry of the .derm file has flags that are never written.";
        case DERM_BUNDLE_TWICE:
            return "An entry is in the .derm file twice.";
        case DERM_BUNDLE_NAME:
            return "An entry's name is not lower-case ASCII with at most one folder.";
        case DERM_BUNDLE_OVERLAP:
            return "An entry of the .derm file overlaps its neighbour or leaves a hole before it.";
        case DERM_BUNDLE_REACHES:
            return "An entry of the .derm file reaches over its end.";
        case DERM_BUNDLE_HEADERS:
            return "The two headers of an entry of the .derm file disagree.";
        case DERM_BUNDLE_ALIGNMENT:
            return "An entry of the .derm file is not aligned to 64 bytes.";
        case DERM_BUNDLE_CHECKSUM:
            return "An entry of the .derm file is damaged: its checksum is wrong.";
        case DERM_BUNDLE_BYTES:
            return "The .derm file holds bytes that belong to no entry.";
        case DERM_BUNDLE_EMPTY:
            return "The file is empty; it must be a .derm file.";
        case DERM_BUNDLE_FIRST:
            return "The first entry of a .derm file must be manifest.json.";
        case DERM_BUNDLE_JSON_SIZE:
            return "A JSON entry is larger than 16 MiB.";
        case DERM_BUNDLE_UTF8:
            return "A text of the .derm file is not UTF-8.";
        case DERM_BUNDLE_JSON:
            return "An entry that should be JSON is no JSON.";
        case DERM_BUNDLE_FINITE:
            return "A number is not finite; every number must be finite.";
        case DERM_BUNDLE_FIELD_TWICE:
            return "A JSON object names a field twice.";
        case DERM_BUNDLE_OBJECT:
            return "manifest.json must be an object.";
        case DERM_BUNDLE_NO_FORMAT:
            return "manifest.json must say its format, a whole number.";
        case DERM_BUNDLE_FORMAT:
            return "The .derm file has another format than this library reads.";
        case DERM_BUNDLE_FILES:
            return "manifest.json must list every entry of the file with its digest, and no other.";
        case DERM_BUNDLE_DIGEST:
            return "An entry was changed after the bundle was made: its SHA-256 is not the manifest's.";
        case DERM_BUNDLE_FIELD:
            return "manifest.json lacks a field, or one has the wrong type.";
        case DERM_BUNDLE_KIND:
            return "manifest.json must name its kind: two_step, multi_input, hierarchical or flat.";
        case DERM_BUNDLE_PREPROCESSING:
            return "The model needs a preprocessing that this library does not have.";
        case DERM_BUNDLE_GRAPHS:
            return "The graphs that manifest.json describes are not the graphs in the file.";
        case DERM_BUNDLE_OUTPUTS:
            return "A graph must have one output.";
        case DERM_BUNDLE_INPUT_KIND:
            return "A graph wants an unknown input.";
        case DERM_BUNDLE_INPUT_TYPE:
            return "An input must be uint8 with scale 1, zero point 0.";
        case DERM_BUNDLE_INPUT_SHAPE:
            return "An input of a graph has another shape than it must have.";
        case DERM_BUNDLE_OUTPUT_SHAPE:
            return "A graph's output has another length than it has labels, or it has no input.";
        case DERM_BUNDLE_EVIDENCE:
            return "The shape of a graph's evidence does not fit its labels.";
        case DERM_BUNDLE_TENSOR:
            return "A tensor must be uint8 with a scale and a zero point of 0 to 255, or float32.";
        case DERM_BUNDLE_INPUT_TWICE:
            return "A graph takes an input twice.";
        case DERM_BUNDLE_TWO_DIGESTS:
            return "manifest.json gives two digests for a graph.";
        case DERM_BUNDLE_TREE_FIELDS:
            return "taxonomy.json must hold levels and nodes with id, name, level and parent.";
        case DERM_BUNDLE_TREE_NAMES:
            return "Names in taxonomy.json must be non-empty text.";
        case DERM_BUNDLE_TREE_PARENT:
            return "The parent of a node in taxonomy.json must be an id or null.";
        case DERM_BUNDLE_TREE_LEVELS:
            return "A tree needs one or more differently named levels, at most 32.";
        case DERM_BUNDLE_TREE_IDS:
            return "A tree needs nodes, each with an id of its own.";
        case DERM_BUNDLE_TREE_LEVEL:
            return "A node is on a level that is not listed.";
        case DERM_BUNDLE_TREE_ORDER:
            return "A node needs a parent one level up that comes before it.";
        case DERM_BUNDLE_TREE_CHILDLESS:
            return "A node has no children, yet it is not on the last level.";
        case DERM_BUNDLE_HEADS:
            return "A model needs one graph for the whole tree and at most one for each node below.";
        case DERM_BUNDLE_GRAPH_TWICE:
            return "Two graphs of the model have the same id.";
        case DERM_BUNDLE_COVER:
            return "The labels of a graph do not cover its part of the tree exactly once.";
        case DERM_BUNDLE_NOT_BELOW:
            return "A graph splits a node into a label that is not below it.";
        case DERM_BUNDLE_UNSPLIT:
            return "No graph splits a label into its several conditions.";
        case DERM_BUNDLE_UNASKED:
            return "A graph splits a node that no other graph answers.";
        case DERM_BUNDLE_NOT_IN_TREE:
            return "A label is not in the tree.";
        case DERM_BUNDLE_TEMPERATURE:
            return "A temperature must be from 0.001 to 1000.";
        case DERM_BUNDLE_OFFSET:
            return "Offsets must be numbers from -100 to 100.";
        case DERM_BUNDLE_OFFSETS:
            return "calibration.json gives a graph another number of offsets than it has labels.";
        case DERM_BUNDLE_SHARE:
            return "A threshold of the calibration must be a probability from 0 to 1.";
        case DERM_BUNDLE_REFER:
            return "The node to refer must be an id or nothing.";
        case DERM_BUNDLE_MEASURE:
            return "calibration.json names an unknown quality measure.";
        case DERM_BUNDLE_LIMITS:
            return "The limits of a quality measure must be two ordered numbers.";
        case DERM_BUNDLE_UNKNOWN:
            return "calibration.json names a graph or level which the model does not have.";
        case DERM_BUNDLE_CALIBRATION:
            return "calibration.json lacks or misspells a field.";
        case DERM_BUNDLE_TENSORS:
            return "A graph has other tensors than those of its description.";
        case DERM_BUNDLE_NO_SIGNATURE:
            return "A graph has no signature that its description promises.";
        case DERM_BUNDLE_LOGIT:
            return "A graph answered with a number that is not finite; its weights are damaged.";
        case DERM_BUNDLE_NO_SELFTEST:
            return "The bundle was made without a self-test.";
        case DERM_BUNDLE_SELFTEST:
            return "selftest.json lacks a field, or one has the wrong type.";
        case DERM_RUNTIME_MISSING:
            return "The LiteRT library was not found; give its path, or set DERM_LITERT.";
        case DERM_RUNTIME_OTHER:
            return "The library is not LiteRT, or a version that lacks a function that is needed.";
        case DERM_RUNTIME_LOAD:
            return "LiteRT cannot load a graph.";
        case DERM_RUNTIME_RUN:
            return "LiteRT failed to run a graph.";
        case DERM_NO_MEMORY:
            return "There is not enough memory.";
        case DERM_INTERNAL:
            return "Something happened that cannot; please report it.";
    }
    return "Unknown error.";
}
