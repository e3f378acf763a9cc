"""The names that a remote module keeps for itself, known here without importing torch."""

from __future__ import annotations

__all__ = ["RESERVED", "YIELDING"]

_NN_MODULE = """
T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double
dump_patches eval extra_repr float get_buffer get_extra_state get_parameter get_submodule half ipu
load_state_dict modules mtia named_buffers named_children named_modules named_parameters parameters
register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook
register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook
register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory state_dict to
to_empty train training type xpu zero_grad
"""

_REMOTE_MODULE = """
device get_module_rref init_from_module_rref is_device_map_set is_scriptable module_rref on
remote_parameters with_options
"""

RESERVED = frozenset(_NN_MODULE.split()) | frozenset(_REMOTE_MODULE.split())
"""Names of the remote module's own; an interface method of one of them gets no stub."""

YIELDING = frozenset({"load", "save"})
"""Names of ours that are so common that an interface method overrides the remote module's own."""
