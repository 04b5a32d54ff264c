// What keys and mouse do, as a dialog.
(() => {
  const KEYS = [
    ["↑ ↓, Page Up, Page Down", "Previous, next slice; ten slices"],
    ["Home, End", "First, last slice"],
    ["N, B", "The worst slice, the next worst; back"],
    ["1 to 4", "Window: soft tissue, lung, bone, as the network"],
    [", .  and  < >", "Window: level lower, higher; narrower, wider"],
    ["Z, Shift Z", "Zoom in, out"],
    ["Shift and arrows", "Pan"],
    ["O", "Next overlay"],
    ["+ −", "Overlay more, less opaque"],
    ["X", "Lines where the other views cut"],
    ["L", "Next layout: three views, one view, comparison"],
    ["C", "Compare with a second volume"],
    ["D", "Denoise: the panel"],
    ["F", "Flip between original and denoised, in place"],
    ["R", "Reset the views"],
    ["A", "Assess"],
    ["M", "Measure by physics alone"],
    ["T", "Light or dark"],
    ["?", "This list"],
  ];
  const MOUSE = [
    ["Wheel", "Slices, the same way as ↑ ↓"],
    ["Double click", "This view alone, and back"],
    ["Left button", "Window: across is width, up and down is level"],
    ["Middle button, or Shift and left", "Pan"],
    ["Right button, or Ctrl and wheel", "Zoom"],
    ["Shift and move", "All views follow the pointer"],
  ];
  window.ctqaKeys = {
    data: () => ({ keys: KEYS, mouse: MOUSE }),
    methods: {
      shown() { return this.$refs.box.open; },
      toggle() { if (this.$refs.box.open) this.$refs.box.close(); else this.$refs.box.showModal(); },
    },
    template: `
  <dialog ref="box" aria-labelledby="help-title" @click.self="$refs.box.close()">
    <h2 id="help-title">Keys</h2><dl class="wide"><template v-for="[key, text] in keys" :key="key"><dt>{{ key }}</dt><dd>{{ text }}</dd></template></dl>
    <h2>Mouse</h2><dl class="wide"><template v-for="[key, text] in mouse" :key="key"><dt>{{ key }}</dt><dd>{{ text }}</dd></template></dl>
    <p><button type="button" @click="$refs.box.close()">Close</button></p>
  </dialog>`,
  };
})();
