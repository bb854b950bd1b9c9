/* libderm: classifies photos of skin with a .derm file, on the device. A research tool, not a medical device.
 *
 *     #include <derm.h>
 *     #include <stdio.h>
 *
 *     int main(void) {
 *         static unsigned char pixels[480 * 640 * 3];           // fill it from a camera
 *         derm_error error;
 *         derm_classifier* classifier = NULL;
 *         derm_result* result = NULL;
 *         derm_image image;
 *         if (derm_open("skin.derm", NULL, &classifier, &error) != DERM_OK ||
 *             derm_image_packed(DERM_RGB, 640, 480, pixels, sizeof pixels, &image, &error) != DERM_OK ||
 *             derm_classify(classifier, &image, DERM_SKIN_UNKNOWN, DERM_AS_OPENED, &result, &error) != DERM_OK) {
 *             fprintf(stderr, "%d: %s\n", (int)error.status, error.text);
 *         } else {
 *             puts(derm_result_json(result, NULL));
 *         }
 *         derm_result_free(result);
 *         derm_close(classifier);
 *         return 0;
 *     }
 *
 * The same photo gives the same answer as in Python: the same bytes go into the graphs, the same doubles come out of them.
 *
 * ON FAILURE every function returns a number other than DERM_OK, fills *error if `error` is not NULL, and leaves every
 * other output as it was, but for the pointer to what it would have made, which becomes NULL. Nothing is thrown, printed or
 * aborted, and a handle can be used on after a failure.
 *
 * OWNERSHIP: what `derm_open*` makes is freed by `derm_close`, a result by `derm_result_free`, a heat map by
 * `derm_heat_free`; each of the three does nothing with NULL. Text and arrays that a function points to belong to the
 * handle or result that was asked and live as long as it does. A result or a heat map may outlive its classifier. Pixels
 * are read during the call alone.
 *
 * THREADS: a handle may be used by one thread at a time; any number of handles by as many threads. There is no global state.
 *
 * TEXT is UTF-8 and ends with a zero byte. */

#ifndef DERM_H
#define DERM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(DERM_STATIC)
#define DERM_API
#elif defined(_WIN32) && defined(DERM_BUILDING)
#define DERM_API __declspec(dllexport)
#elif defined(_WIN32)
#define DERM_API __declspec(dllimport)
#else
#define DERM_API __attribute__((visibility("default")))
#endif

#define DERM_VERSION_MAJOR 0
#define DERM_VERSION_MINOR 1
#define DERM_VERSION_PATCH 0

/* "0.1.0": the version of the library, which may be newer than this header's. */
DERM_API const char* derm_version(void);

/* --- What can go wrong ------------------------------------------------------------------------------------------------
 * The hundreds say of which kind it is: 1 an argument, 2 the picture, 3 a file, 4 the .derm file, 5 LiteRT, 6 the device.
 * Numbers keep their meaning; new ones may be added. docs/c.md has the table of Python's error classes. */
typedef enum derm_status {
    DERM_OK = 0,

    DERM_ARGUMENT_NULL = 101,        /* A pointer that is needed is NULL. */
    DERM_ARGUMENT_SKIN_TYPE = 102,   /* The skin type must be 1 to 6, or 0 when it is unknown. */
    DERM_ARGUMENT_THREADS = 103,     /* The number of threads must be from 1 to 64. */
    DERM_ARGUMENT_ROUTING = 104,     /* The routing must be all, lazy or top. */
    DERM_ARGUMENT_NODE = 105,        /* The tree of labels has no such node. */
    DERM_ARGUMENT_LEVEL = 106,       /* The tree of labels has no such level. */
    DERM_ARGUMENT_PLACE = 107,       /* There are not so many of them. */
    DERM_ARGUMENT_GRAPH = 108,       /* The model has no such graph or input. */
    DERM_ARGUMENT_BYTES = 109,       /* The buffer has another size than is needed. */
    DERM_ARGUMENT_NO_EXPLAIN = 110,  /* This model cannot explain that node: no graph that decides it has explanations. */
    DERM_ARGUMENT_NO_GRAPHS = 111,   /* The classifier was opened without graphs, so it cannot run them. */
    DERM_ARGUMENT_CLOSED = 112,      /* The classifier is closed. */
    DERM_ARGUMENT_STRUCT = 113,      /* The field struct_size holds no size that this library knows. */
    DERM_ARGUMENT_PRIOR_EMPTY = 114, /* A prior must name shares of labels. */
    DERM_ARGUMENT_PRIOR_TWICE = 115, /* The prior names a node twice. */
    DERM_ARGUMENT_PRIOR_SHARE = 116, /* The prior of a node must be a share from 1e-12 to 1. */
    DERM_ARGUMENT_PRIOR_ABOVE = 117, /* The prior names a node and one that lies above it; name one of the two. */
    DERM_ARGUMENT_PRIOR_SUM = 118,   /* The prior covers the whole tree, so it must add up to 1. */
    DERM_ARGUMENT_PRIOR_REST = 119,  /* The prior must leave a share for the labels it does not name. */
    DERM_ARGUMENT_PRIOR_UNRECORDED = 120, /* This model does not record how common its labels were in its training; it takes no prior. */
    DERM_ARGUMENT_PRIOR_NO_PHOTOS = 121,  /* The model's training records no photo of a label, so its share cannot be changed. */
    DERM_ARGUMENT_PRIOR_ROUTING = 122,    /* A prior needs every graph; leave it out, or take another routing than top. */

    DERM_IMAGE_FORMAT = 201,   /* The pixel format must be one of derm_format. */
    DERM_IMAGE_SIZE = 202,     /* A photo has 1 to 65535 pixels along a side and at most 100 million in all. */
    DERM_IMAGE_ROTATION = 203, /* The rotation must be 0, 90, 180 or 270 degrees clockwise. */
    DERM_IMAGE_STRIDE = 204,   /* The stride is shorter than a row. */
    DERM_IMAGE_BYTES = 205,    /* A plane holds fewer bytes than its rows need. */

    DERM_FILE_READ = 301, /* The file cannot be read. */

    DERM_BUNDLE_START = 401,       /* This is no .derm file: it does not begin with PK\3\4. */
    DERM_BUNDLE_END = 402,         /* The .derm file is cut off, or something was put behind its end. */
    DERM_BUNDLE_TABLE = 403,       /* The .derm file's table of contents is damaged. */
    DERM_BUNDLE_TABLE_PLACE = 404, /* The .derm file's table of contents is not where its end says it is. */
    DERM_BUNDLE_TABLE_CUT = 405,   /* The .derm file's table of contents is cut off. */
    DERM_BUNDLE_OTHER_TOOL = 406,  /* The .derm file was packed by another tool. */
    DERM_BUNDLE_ENCRYPTED = 407,   /* An entry of the .derm file is encrypted. */
    DERM_BUNDLE_COMPRESSED = 408,  /* An entry of the .derm file is compressed; entries must be stored. */
    DERM_BUNDLE_FLAGS = 409,       /* An entry of the .derm file has flags that are never written. */
    DERM_BUNDLE_TWICE = 410,       /* An entry is in the .derm file twice. */
    DERM_BUNDLE_NAME = 411,        /* An entry's name is not lower-case ASCII with at most one folder. */
    DERM_BUNDLE_OVERLAP = 412,     /* An entry of the .derm file overlaps its neighbour or leaves a hole before it. */
    DERM_BUNDLE_REACHES = 413,     /* An entry of the .derm file reaches over its end. */
    DERM_BUNDLE_HEADERS = 414,     /* The two headers of an entry of the .derm file disagree. */
    DERM_BUNDLE_ALIGNMENT = 415,   /* An entry of the .derm file is not aligned to 64 bytes. */
    DERM_BUNDLE_CHECKSUM = 416,    /* An entry of the .derm file is damaged: its checksum is wrong. */
    DERM_BUNDLE_BYTES = 417,       /* The .derm file holds bytes that belong to no entry. */
    DERM_BUNDLE_EMPTY = 418,       /* The file is empty; it must be a .derm file. */

    DERM_BUNDLE_FIRST = 421,       /* The first entry of a .derm file must be manifest.json. */
    DERM_BUNDLE_JSON_SIZE = 422,   /* A JSON entry is larger than 16 MiB. */
    DERM_BUNDLE_UTF8 = 423,        /* A text of the .derm file is not UTF-8. */
    DERM_BUNDLE_JSON = 424,        /* An entry that should be JSON is no JSON. */
    DERM_BUNDLE_FINITE = 425,      /* A number is not finite; every number must be finite. */
    DERM_BUNDLE_FIELD_TWICE = 426, /* A JSON object names a field twice. */
    DERM_BUNDLE_OBJECT = 427,      /* manifest.json must be an object. */
    DERM_BUNDLE_NO_FORMAT = 428,   /* manifest.json must say its format, a whole number. */
    DERM_BUNDLE_FORMAT = 429,      /* The .derm file has another format than this library reads. */
    DERM_BUNDLE_FILES = 430,       /* manifest.json must list every entry of the file with its digest, and no other. */
    DERM_BUNDLE_DIGEST = 431,      /* An entry was changed after the bundle was made: its SHA-256 is not the manifest's. */
    DERM_BUNDLE_FIELD = 432,       /* manifest.json lacks a field, or one has the wrong type. */
    DERM_BUNDLE_KIND = 433,        /* manifest.json must name its kind: two_step, multi_input, hierarchical or flat. */
    DERM_BUNDLE_PREPROCESSING = 434, /* The model needs a preprocessing that this library does not have. */
    DERM_BUNDLE_GRAPHS = 435,      /* The graphs that manifest.json describes are not the graphs in the file. */
    DERM_BUNDLE_OUTPUTS = 436,     /* A graph must have one output. */
    DERM_BUNDLE_INPUT_KIND = 437,  /* A graph wants an unknown input. */
    DERM_BUNDLE_INPUT_TYPE = 438,  /* An input must be uint8 with scale 1, zero point 0. */
    DERM_BUNDLE_INPUT_SHAPE = 439, /* An input of a graph has another shape than it must have. */
    DERM_BUNDLE_OUTPUT_SHAPE = 440, /* A graph's output has another length than it has labels, or it has no input. */
    DERM_BUNDLE_EVIDENCE = 441,    /* The shape of a graph's evidence does not fit its labels. */
    DERM_BUNDLE_TENSOR = 442,      /* A tensor must be uint8 with a scale and a zero point of 0 to 255, or float32. */
    DERM_BUNDLE_INPUT_TWICE = 443, /* A graph takes an input twice. */
    DERM_BUNDLE_TWO_DIGESTS = 444, /* manifest.json gives two digests for a graph. */

    DERM_BUNDLE_TREE_FIELDS = 451, /* taxonomy.json must hold levels and nodes with id, name, level and parent. */
    DERM_BUNDLE_TREE_NAMES = 452,  /* Names in taxonomy.json must be non-empty text. */
    DERM_BUNDLE_TREE_PARENT = 453, /* The parent of a node in taxonomy.json must be an id or null. */
    DERM_BUNDLE_TREE_LEVELS = 454, /* A tree needs one or more differently named levels, at most 32. */
    DERM_BUNDLE_TREE_IDS = 455,    /* A tree needs nodes, each with an id of its own. */
    DERM_BUNDLE_TREE_LEVEL = 456,  /* A node is on a level that is not listed. */
    DERM_BUNDLE_TREE_ORDER = 457,  /* A node needs a parent one level up that comes before it. */
    DERM_BUNDLE_TREE_CHILDLESS = 458, /* A node has no children, yet it is not on the last level. */
    DERM_BUNDLE_HEADS = 459,       /* A model needs one graph for the whole tree and at most one for each node below. */
    DERM_BUNDLE_GRAPH_TWICE = 460, /* Two graphs of the model have the same id. */
    DERM_BUNDLE_COVER = 461,       /* The labels of a graph do not cover its part of the tree exactly once. */
    DERM_BUNDLE_NOT_BELOW = 462,   /* A graph splits a node into a label that is not below it. */
    DERM_BUNDLE_UNSPLIT = 463,     /* No graph splits a label into its several conditions. */
    DERM_BUNDLE_UNASKED = 464,     /* A graph splits a node that no other graph answers. */
    DERM_BUNDLE_NOT_IN_TREE = 465, /* A label is not in the tree. */
    DERM_BUNDLE_TEMPERATURE = 466, /* A temperature must be from 0.001 to 1000. */
    DERM_BUNDLE_OFFSET = 467,      /* Offsets must be numbers from -100 to 100. */
    DERM_BUNDLE_OFFSETS = 468,     /* calibration.json gives a graph another number of offsets than it has labels. */
    DERM_BUNDLE_SHARE = 469,       /* A threshold of the calibration must be a probability from 0 to 1. */
    DERM_BUNDLE_REFER = 470,       /* The node to refer must be an id or nothing. */
    DERM_BUNDLE_MEASURE = 471,     /* calibration.json names an unknown quality measure. */
    DERM_BUNDLE_LIMITS = 472,      /* The limits of a quality measure must be two ordered numbers. */
    DERM_BUNDLE_UNKNOWN = 473,     /* calibration.json names a graph or level which the model does not have. */
    DERM_BUNDLE_CALIBRATION = 474, /* calibration.json lacks or misspells a field. */

    DERM_BUNDLE_TENSORS = 481,     /* A graph has other tensors than those of its description. */
    DERM_BUNDLE_NO_SIGNATURE = 482, /* A graph has no signature that its description promises. */
    DERM_BUNDLE_LOGIT = 483,       /* A graph answered with a number that is not finite; its weights are damaged. */
    DERM_BUNDLE_NO_SELFTEST = 484, /* The bundle was made without a self-test. */
    DERM_BUNDLE_SELFTEST = 485,    /* selftest.json lacks a field, or one has the wrong type. */

    DERM_RUNTIME_MISSING = 501, /* The LiteRT library was not found; give its path, or set DERM_LITERT. */
    DERM_RUNTIME_OTHER = 502,   /* The library is not LiteRT, or a version that lacks a function that is needed. */
    DERM_RUNTIME_LOAD = 503,    /* LiteRT cannot load a graph. */
    DERM_RUNTIME_RUN = 504,     /* LiteRT failed to run a graph. */

    DERM_NO_MEMORY = 601, /* There is not enough memory. */
    DERM_INTERNAL = 602   /* Something happened that cannot; please report it. */
} derm_status;

/* The sentence behind a number, in memory that is never freed; "Unknown error." for a number that is none. */
DERM_API const char* derm_status_text(int32_t status);

/* What went wrong: the number, and its sentence with the value that was wrong. Cut, if need be, between characters. */
typedef struct derm_error {
    derm_status status;
    char text[508];
} derm_error;

/* --- Opening ------------------------------------------------------------------------------------------------------------ */

typedef struct derm_classifier derm_classifier;

typedef enum derm_routing {
    DERM_AS_OPENED = -1, /* as the classifier was opened */
    DERM_ALL = 0,  /* every graph is run */
    DERM_LAZY = 1, /* a graph is left out when condition, answer, sets and referral are the same without it */
    DERM_TOP = 2   /* only the graphs below the best category */
} derm_routing;

/* How common a label is where the photos come from. docs/result.md, "Prior". */
typedef struct derm_share {
    const char* node; /* id or name */
    double share;     /* of the photos, from 1e-12 to 1 */
} derm_share;

typedef struct derm_options {
    uint32_t struct_size;    /* sizeof(derm_options); of an older header it may be less */
    int32_t threads;         /* that one graph may use: 1 to 64; 0 is 1 */
    int32_t routing;         /* a derm_routing but DERM_AS_OPENED: which graphs are run */
    int32_t without_graphs;  /* 1: no LiteRT; derm_prepare and derm_answer for a program that runs the graphs itself */
    const char* litert_path; /* of the LiteRT library. NULL: $DERM_LITERT, else the usual names where the system looks */
    const derm_share* prior; /* of every photo, as derm_set_prior takes it; NULL: as in the model's training */
    size_t prior_count;      /* how many shares it has */
} derm_options;

/* Opens a .derm file, verifies all of it, and loads its graphs.
 *   path        of the file. It is mapped, not read: it must stay as it is while the classifier is open.
 *   options     NULL for one thread, all graphs
 *   classifier  out
 * Returns DERM_FILE_READ, DERM_BUNDLE_*, DERM_RUNTIME_*, DERM_ARGUMENT_*, DERM_NO_MEMORY. */
DERM_API derm_status derm_open(const char* path, const derm_options* options, derm_classifier** classifier,
                               derm_error* error);

/* The same from memory. `data` is not copied: it must stay as it is until the classifier is closed and its last result is
 * freed. Where `data` is not aligned to 64 bytes the graphs, and nothing else, are copied. */
DERM_API derm_status derm_open_memory(const void* data, size_t size, const derm_options* options,
                                      derm_classifier** classifier, derm_error* error);

/* Says how common labels are where the photos come from that are classified from now on; copied. Every graph is then run,
 * and results say the routing "all". derm_explain and derm_selftest take no notice of it. What the shares leave over belongs
 * to the labels that are not named.
 *   shares  `count` of them, on any level, no node below another; NULL and 0 for those of the model's training
 * Returns DERM_ARGUMENT_NODE, DERM_ARGUMENT_PRIOR_*, and then keeps what was said before. */
DERM_API derm_status derm_set_prior(derm_classifier* classifier, const derm_share* shares, size_t count, derm_error* error);

/* Frees a classifier. Whoever uses the pointer afterwards is told DERM_ARGUMENT_CLOSED only by good luck. */
DERM_API void derm_close(derm_classifier* classifier);

/* --- What a model is ------------------------------------------------------------------------------------------------------ */

typedef struct derm_description {
    const char* id;
    const char* name;
    const char* version;
    const char* digest;  /* SHA-256 of manifest.json, hex: stands for the whole content */
    const char* kind;    /* two_step, multi_input, hierarchical or flat */
    const char* licence; /* of the weights, a few words */
    const char* intended_use;
    const char* fit;     /* stretch, crop or pad */
    const char* runtime; /* which library runs the graphs, as it was found; "" without graphs */
    size_t size;         /* side of the square inputs in pixels */
    size_t size_bytes;   /* of the file */
    size_t levels;       /* of the tree */
    size_t nodes;
    size_t graphs;
    size_t inputs;       /* kinds of input that the graphs take together */
    size_t warnings;     /* sentences that every result of this model carries */
    int32_t takes_skin_type; /* 1: a graph takes it; 0: it changes no answer */
    int32_t explains;        /* 1: derm_explain works for some nodes */
} derm_description;

DERM_API derm_status derm_describe(const derm_classifier* classifier, derm_description* description, derm_error* error);

/* Name of a level, from the top, 0 to levels - 1; NULL for another number or without a classifier. */
DERM_API const char* derm_level_name(const derm_classifier* classifier, size_t level);

/* A sentence that every result carries, 0 to warnings - 1; NULL for another number. */
DERM_API const char* derm_warning(const derm_classifier* classifier, size_t place);

/* --- Photos ------------------------------------------------------------------------------------------------------------------ */

typedef enum derm_format {
    DERM_RGB = 0, /* 3 bytes a pixel, in this order */
    DERM_BGR = 1,
    DERM_RGBA = 2, /* 4 bytes; A is laid over white */
    DERM_BGRA = 3,
    DERM_GRAY = 4, /* 1 byte */
    DERM_NV21 = 5, /* plane 0: Y; plane 1: V and U by turns, for each two by two pixels. BT.601, full range */
    DERM_NV12 = 6, /* the same with U and V */
    DERM_I420 = 7  /* plane 0: Y; plane 1: U; plane 2: V */
} derm_format;

/* A photo in the caller's memory. docs/preprocessing.md, "Camera formats", says what becomes of it. */
typedef struct derm_image {
    uint32_t struct_size; /* sizeof(derm_image) */
    int32_t format; /* a derm_format */
    int32_t width, height; /* as it lies in memory, in pixels */
    int32_t rotation;      /* degrees clockwise that make it upright: 0, 90, 180 or 270 (Android's rotationDegrees) */
    const uint8_t* planes[3];
    size_t strides[3];     /* bytes from one row of a plane to the next */
    size_t bytes[3];       /* bytes that may be read from each plane */
} derm_image;

/* Describes a photo whose rows and planes follow one another without a gap. Reads no pixel. */
DERM_API derm_status derm_image_packed(int32_t format, int32_t width, int32_t height, const uint8_t* data, size_t bytes,
                                       derm_image* image, derm_error* error);

/* --- Classifying ------------------------------------------------------------------------------------------------------------- */

#define DERM_SKIN_UNKNOWN 0 /* of Fitzpatrick's scale; else 1 to 6 */

typedef struct derm_result derm_result;

typedef struct derm_prediction {
    const char* id;     /* a slug */
    const char* name;   /* as the data set spells it */
    const char* level;
    const char* parent; /* an id; NULL on the top level */
    double probability; /* calibrated, 0 to 1 */
} derm_prediction;

/* Classifies a photo.
 *   skin_type  1 to 6, or DERM_SKIN_UNKNOWN; it changes the answer only where the model takes it
 *   routing    a derm_routing, mostly DERM_AS_OPENED
 *   result     out
 * Returns DERM_ARGUMENT_*, DERM_IMAGE_*, DERM_BUNDLE_LOGIT, DERM_RUNTIME_RUN, DERM_NO_MEMORY. */
DERM_API derm_status derm_classify(derm_classifier* classifier, const derm_image* image, int32_t skin_type,
                                   int32_t routing, derm_result** result, derm_error* error);

DERM_API void derm_result_free(derm_result* result);

/* How many predictions a level has; 0 for a level that is none. Levels as in derm_level_name. */
DERM_API size_t derm_result_count(const derm_result* result, size_t level);

/* The prediction at a place of a level, best first. Returns DERM_ARGUMENT_NULL, _LEVEL or _PLACE. */
DERM_API derm_status derm_result_prediction(const derm_result* result, size_t level, size_t place, derm_prediction* prediction);

/* How many predictions the prediction set of a level has. */
DERM_API size_t derm_result_set_count(const derm_result* result, size_t level);

/* The prediction at a place of the set of a level, best first. */
DERM_API derm_status derm_result_set_prediction(const derm_result* result, size_t level, size_t place,
                                                derm_prediction* prediction);

/* The deepest node that is certain enough: 1 and *prediction, or 0 when not even the top level is, or without a result. */
DERM_API int32_t derm_result_answer(const derm_result* result, derm_prediction* prediction);

/* Whether a dermatologist should see the photo, 1 or 0; and why: NULL behind the last reason. */
DERM_API int32_t derm_result_refer(const derm_result* result);
DERM_API const char* derm_result_reason(const derm_result* result, size_t place);

/* What is wrong with the photo, in plain words: NULL behind the last problem. */
DERM_API const char* derm_result_problem(const derm_result* result, size_t place);

/* The share of photos whose truth a prediction set promises to hold. */
DERM_API double derm_result_coverage(const derm_result* result);

/* The whole result as JSON, schema 1: byte for byte what Python's Result.to_json() gives. NULL without a result.
 *   bytes  out, may be NULL: length without the zero byte */
DERM_API const char* derm_result_json(const derm_result* result, size_t* bytes);

/* --- Where the evidence is ------------------------------------------------------------------------------------------------------ */

typedef struct derm_heat derm_heat;

typedef struct derm_explanation {
    const char* node;   /* id of the node explained */
    const char* graph;  /* id of the graph that was asked */
    double probability; /* of the node */
    const float* heat;  /* rows * columns, 0 to 1: evidence for the node over the square that the network sees */
    size_t rows, columns;
    int32_t left, top, width, height; /* where that square lies on the upright photo, in pixels; a border is below 0 */
    int32_t has_peak;                 /* 0: nothing speaks for the node */
    int32_t peak[2];                  /* x, y of the strongest place on the upright photo */
    int32_t has_box;                  /* 0: there is no such place on the photo */
    int32_t box[4];                   /* left, top, right, bottom of the region around it, the last two just behind it */
} derm_explanation;

/* Shows where the model sees evidence for a node. Learnt from labels of whole photos, never validated against drawn boxes.
 *   node  id or name; NULL: the answer, or the nearest node above it that can be explained
 * Returns what derm_classify returns, DERM_ARGUMENT_NODE, DERM_ARGUMENT_NO_EXPLAIN, DERM_BUNDLE_NO_SIGNATURE. */
DERM_API derm_status derm_explain(derm_classifier* classifier, const derm_image* image, int32_t skin_type, const char* node,
                                  derm_heat** heat, derm_error* error);

/* What was found; pointers live as long as the heat map. Returns DERM_ARGUMENT_NULL or DERM_OK. */
DERM_API derm_status derm_heat_explanation(const derm_heat* heat, derm_explanation* explanation);

DERM_API void derm_heat_free(derm_heat* heat);

/* --- Does this device answer as the maker's did? ----------------------------------------------------------------------------------- */

typedef struct derm_selftest_stage {
    int32_t identical, close, different; /* comparisons that gave the same, what sound devices may differ by, or neither */
} derm_selftest_stage;

typedef struct derm_selftest_report {
    derm_selftest_stage inputs;        /* prepared inputs of the stored pixels */
    derm_selftest_stage outputs;       /* of every graph, as stored */
    derm_selftest_stage probabilities; /* from the stored outputs */
    derm_selftest_stage whole_way;     /* from the stored pixels */
    char note[256];                    /* about the first difference; "" without one */
} derm_selftest_report;

/* Sends the drawn pictures in the bundle the photo's way (docs/selftest.md). Decoding is the caller's, so it is not tested.
 * Returns DERM_OK whatever it finds; DERM_BUNDLE_NO_SELFTEST, DERM_BUNDLE_SELFTEST, or what derm_classify returns. */
DERM_API derm_status derm_selftest(derm_classifier* classifier, derm_selftest_report* report, derm_error* error);

/* --- For a program that runs the graphs itself --------------------------------------------------------------------------------------- */

typedef struct derm_input {
    const char* kind; /* rgb, gray, equalized, otsu, stretched or skin_type */
    size_t bytes;     /* that derm_prepare writes */
} derm_input;

/* The kind of input at a place, 0 to inputs - 1. Returns DERM_ARGUMENT_NULL or _PLACE. */
DERM_API derm_status derm_input_at(const derm_classifier* classifier, size_t place, derm_input* input);

/* Makes one input of the graphs, uint8, rows from the top, channels together.
 *   kind   out of those of docs/preprocessing.md, whether a graph takes it or not; or skin_type
 *   out    out; bytes: its size, which must be right */
DERM_API derm_status derm_prepare(const derm_classifier* classifier, const derm_image* image, int32_t skin_type,
                                  const char* kind, uint8_t* out, size_t bytes, derm_error* error);

typedef struct derm_output {
    const char* graph; /* id */
    const void* data;  /* as the graph stores it: uint8 or float32, one number per label */
    size_t bytes;
} derm_output;

/* Makes the result of what graphs answered.
 *   rgb            the prepared input "rgb", size * size * 3 bytes
 *   width, height  of the upright photo
 *   outputs        `count` of them; graphs that are left out count as skipped, but the root's must be there */
DERM_API derm_status derm_answer(const derm_classifier* classifier, const uint8_t* rgb, size_t bytes, int32_t width,
                                 int32_t height, int32_t skin_type, int32_t routing, const derm_output* outputs,
                                 size_t count, derm_result** result, derm_error* error);

#ifdef __cplusplus
}
#endif

#endif
