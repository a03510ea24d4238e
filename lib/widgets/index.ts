// Widgets for notebooks: controls that a reader moves and TypeScript observes, in JupyterLab and Notebook.
export { HBox, Output, VBox } from "./boxes.ts";
export {
  Button,
  type ButtonOptions,
  Checkbox,
  type CheckboxOptions,
  type Choices,
  type ControlOptions,
  Dropdown,
  type DropdownOptions,
  FloatSlider,
  HTML,
  type HtmlOptions,
  IntSlider,
  Progress,
  type ProgressOptions,
  type SliderOptions,
  Text,
  type TextOptions,
  type ValueChange,
} from "./controls.ts";
export { interact, type ValueControl, type ValuesOf } from "./interact.ts";
export {
  type Change,
  type LayoutOptions,
  type Stop,
  type StyleOptions,
  Widget,
  type WidgetOptions,
} from "./widget.ts";
