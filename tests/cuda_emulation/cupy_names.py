"""What CuPy has of NumPy; a test compares it with CuPy where there is one."""

# Functions, with the parameters that CuPy knows.
FUNCTIONS = {
    "all": "a axis out keepdims", "allclose": "a b rtol atol equal_nan",
    "any": "a axis out keepdims", "append": "arr values axis", "argmax": "a axis dtype out keepdims",
    "argmin": "a axis dtype out keepdims", "argsort": "a axis kind", "array_equal": "a1 a2 equal_nan",
    "ascontiguousarray": "a dtype", "bincount": "x weights minlength",
    "broadcast_to": "array shape", "can_cast": "from_ to casting", "clip": "a a_min a_max out",
    "concatenate": "tup axis out dtype casting", "copy": "a order", "copyto": "dst src casting where",
    "count_nonzero": "a axis", "cumsum": "a axis dtype out", "diff": "a n axis prepend append",
    "empty_like": "prototype dtype order subok shape", "expand_dims": "a axis",
    "flatnonzero": "a", "flip": "a axis", "full_like": "a fill_value dtype order subok shape",
    "isin": "element test_elements assume_unique invert", "lexsort": "keys",
    "max": "a axis out keepdims", "may_share_memory": "a b max_work",
    "mean": "a axis dtype out keepdims", "min": "a axis out keepdims",
    "moveaxis": "a source destination", "nan_to_num": "x copy nan posinf neginf", "ndim": "a",
    "nonzero": "a", "ones_like": "a dtype order subok shape", "prod": "a axis dtype out keepdims",
    "ptp": "a axis out keepdims", "ravel": "a order", "repeat": "a repeats axis",
    "reshape": "a newshape order copy", "result_type": "*arrays_and_dtypes", "roll": "a shift axis",
    "searchsorted": "a v side sorter", "shape": "a", "shares_memory": "a b max_work",
    "sort": "a axis kind", "split": "ary indices_or_sections axis", "squeeze": "a axis",
    "stack": "tup axis out dtype casting", "std": "a axis dtype out ddof keepdims",
    "sum": "a axis dtype out keepdims", "swapaxes": "a axis1 axis2", "take": "a indices axis out",
    "take_along_axis": "a indices axis", "tile": "A reps", "transpose": "a axes",
    "unique": "ar return_index return_inverse return_counts axis equal_nan",
    "var": "a axis dtype out ddof keepdims", "where": "condition x y",
    "zeros_like": "a dtype order subok shape",
}  # fmt: skip
# NumPy's ufuncs that it has not.
NO_UFUNCS = {"isnat", "matvec", "spacing", "vecdot", "vecmat"}
# These look at shapes and addresses only, or give another view: what they see need not be written.
UNREAD = {"broadcast_to", "can_cast", "empty_like", "expand_dims", "flip", "full_like",
          "may_share_memory", "moveaxis", "ndim", "ones_like", "ravel", "reshape", "result_type",
          "shape", "shares_memory", "split", "squeeze", "swapaxes", "transpose",
          "zeros_like"}  # fmt: skip
# How often these wait for a number that the host needs, such as the size of what they give.
WAITING = {"bincount": 2, "flatnonzero": 1, "isin": 1, "nonzero": 1, "unique": 1}
# Methods of arrays that are such functions.
METHODS = ("all", "any", "argmax", "argmin", "argsort", "clip", "cumsum", "max", "mean", "min",
           "nonzero", "prod", "ptp", "ravel", "repeat", "searchsorted", "squeeze", "std", "sum",
           "swapaxes", "take", "var")  # fmt: skip
