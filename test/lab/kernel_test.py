"""Jupyter's own kernel tests, on ours: python test/lab/kernel_test.py. What it skips, it names."""

import unittest

import jupyter_kernel_test
from jupyter_client.kernelspec import KernelSpecManager

installed = KernelSpecManager().find_kernel_specs()


class Common(jupyter_kernel_test.KernelTests):
    code_hello_world = "console.log('hello, world')"
    code_stderr = "console.error('oops')"
    completion_samples = [
        {"text": "conso", "matches": ["console"]},
        {"text": "Math.hyp", "matches": {"hypot"}},
    ]
    complete_code_samples = ["1", "console.log('hello')", "function f(x) { return x; }", "const a = [1,\n2];"]
    incomplete_code_samples = ["function f(x) {", "console.log('hello',", "const a = [1,", "`a", "if (1) {\n"]
    invalid_code_samples = ["const 1 = 2", "}", "let let = 3;"]
    code_page_something = None  # Payloads are deprecated, and this is IPython's pager.
    code_generate_error = "throw new RangeError('too far')"
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": "[1, 2, 3].map((x) => x * 2)", "result": "[ 2, 4, 6 ]"},
        {"code": "await Promise.resolve('kept')", "result": "'kept'"},
    ]
    code_display_data = [
        {"code": "display.html('<b>bold</b>'); undefined", "mime": "text/html"},
        {"code": "display.markdown('**bold**'); undefined", "mime": "text/markdown"},
        {"code": "display({'image/svg+xml': '<svg/>'}, { raw: true }); undefined", "mime": "image/svg+xml"},
    ]
    code_history_pattern = "6 ? 7*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "Math.hypot"
    code_clear_output = "display.clear()"


class TypeScript(Common):
    kernel_name = "slimlab"
    language_name = "typescript"
    file_extension = ".ts"


class JavaScript(Common):
    kernel_name = "slimlab-javascript"
    language_name = "javascript"
    file_extension = ".js"


del Common

if __name__ == "__main__":
    assert "slimlab" in installed, installed
    unittest.main(verbosity=2)
