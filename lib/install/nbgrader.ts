// What nbgrader must be told of cells in TypeScript and JavaScript: what stands in the place of a solution.

/** The configuration as a Python file. */
export const nbgraderConfig = `# nbgrader clears solutions of cells in TypeScript and JavaScript, too. Written by slimlab.
c = get_config()
stub = '// YOUR CODE HERE\\nthrow new Error("not done yet");'
c.ClearSolutions.code_stub = {
    "typescript": stub,
    "javascript": stub,
    "python": "# YOUR CODE HERE\\nraise NotImplementedError()",
}
`;
