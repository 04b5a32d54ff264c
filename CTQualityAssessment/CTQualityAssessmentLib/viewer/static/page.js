// The page. What is asked for goes to the server by name; what is shown comes from its state.
(() => {
  const page = {
    props: {
      opened: Object, panes: Array, busy: Object, error: Object, notes: Array, rows: Array, result: Object, here: Number,
      levels: Array, presets: Array, overlays: Array, overlay: String, opacity: Number, crosshair: Boolean,
      models: Array, model: String, palette: Array, legend: Object, series: Object, layout: String, alone: String,
      threshold: Object, measured: Object, compared: Object, span: Number, diverging: Array, denoised: Object, flipped: Boolean,
      denoisers: Array, denoiser: String, damaged: String,
    },
    emits: ["ask"],
    data: () => ({
      tab: "slices", chosen: null, second: false, stage: 3, walking: null, going: null, turned: 0, turning: false,
      dark: true,
    }),
    computed: {
      worst() {
        return this.rows.filter((row) => row[1] !== null).sort((a, b) => a[1] - b[1] || a[0] - b[0]).map((row) => row[0]);
      },
      rank() { return this.worst.indexOf(this.here); },
      card() { return this.models.find((one) => one.name === (this.chosen || this.model)); },
      shownError() { return this.refused || this.error; },
      percent() { return this.busy && this.busy.total ? Math.round((100 * this.busy.done) / this.busy.total) : null; },
      left() {
        const s = this.busy ? this.busy.eta_s : null;
        if (s === null || s === undefined) return "";
        return s < 90 ? `about ${Math.max(1, Math.round(s))} s left` : `about ${Math.round(s / 60)} min left`;
      },
      tabs() { return [["slices", "Slices"], ["facts", "Acquisition"], ["physics", "Physics"], ["denoise", "Denoise"], ["model", "Model"], ["save", "Save"]]; },
      files() {
        const result = [["index.html", "Report: one page with figures"], ["slices.csv", "Table of slices"], ["assessment.json", "Everything, for programs"], ["scene.mrb", "Scene for 3D Slicer"]];
        const physics = [["measures.csv", "Physical measures of the slices"], ["measures.json", "Physical measures, for programs"]];
        const denoised = this.denoised ? [[this.denoised.file, "Denoised volume in HU"], ["denoising.json", "What denoising did, for programs"]] : [];
        return [...(this.result ? result : []), ...(this.measured ? physics : []), ...denoised];
      },
      live() { return this.busy && this.busy.cancellable; },
      // Denoising has a lot to tell: its panel takes the place of what is told of the scores.
      scores() { return !this.opened || this.tab !== "denoise"; },
      beside() { return this.layout === "compare" && !!this.compared && this.compared.denoised; },
    },
    created() {
      let theme = null;
      try { theme = window.localStorage.getItem("ctqa-theme"); } catch { /* no storage: the system decides */ }
      this.dark = theme ? theme === "dark" : !window.matchMedia("(prefers-color-scheme: light)").matches;
      this.paint();
    },
    mounted() {
      window.addEventListener("keydown", this.press);
    },
    unmounted() {
      window.removeEventListener("keydown", this.press);
    },
    methods: {
      ask(name, ...args) { this.$emit("ask", name, args); },
      jump(index) {
        // Where the view will be: keys come faster than the pictures, and none of their steps may get lost.
        this.going = { to: Math.min(this.opened.slices - 1, Math.max(0, index)), until: Date.now() + 1000 };
        this.ask("jump", this.going.to);
      },
      step(by) { this.jump((this.going && Date.now() < this.going.until ? this.going.to : this.here) + by); },
      // A wheel turns faster than pictures come. What it turned between two of the screen's is one step; else a queue
      // of steps would go on after the wheel has stopped.
      turn(place, event) {
        if (!this.opened || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        event.stopPropagation();
        const lines = event.deltaMode === 0 ? event.deltaY / 100 : event.deltaY / 3;
        // A notch is one slice, whatever a system calls it; a touchpad sends small parts of one.
        this.turned += Math.abs(lines) < 0.5 ? lines * 4 : Math.sign(lines) * Math.max(1, Math.round(Math.abs(lines)));
        if (this.turning) return;
        this.turning = true;
        window.requestAnimationFrame(() => {
          this.turning = false;
          const steps = Math.trunc(this.turned);
          if (!steps) return;
          this.turned -= steps;
          this.going = null;
          this.ask("scroll", place, steps);
        });
      },
      assess() { if (this.opened && !this.busy) { this.refused = null; this.ask("assess", this.chosen || this.model, Number(this.stage)); } },
      dismiss() { this.refused = null; this.ask("dismiss"); },
      worse(step) {
        if (!this.worst.length) return;
        // From a slice that was reached otherwise, the walk begins at the worst.
        const next = this.walking !== this.here ? 0 : Math.min(this.worst.length - 1, Math.max(0, this.rank + step));
        this.walking = this.worst[next];
        this.jump(this.walking);
      },
      paint() { document.documentElement.dataset.theme = this.dark ? "dark" : "light"; },
      switchTheme() {
        this.dark = !this.dark;
        this.paint();
        try { window.localStorage.setItem("ctqa-theme", this.dark ? "dark" : "light"); } catch { /* not kept */ }
      },
      measure() { if (this.opened && !this.busy) { this.tab = "physics"; this.ask("measure"); } },
      shown(place) {
        if (this.layout === "compare") return ["large", "second", "difference"].includes(place);
        return this.layout === "one" ? place === this.alone : !["second", "difference"].includes(place);
      },
      enlarge(place) {
        if (!this.opened || this.layout === "compare") return;
        this.ask("layout", this.layout === "one" ? "three" : "one", place);
      },
      lay(layout) {
        if (layout === "compare" && !this.compared) this.choose(true); else this.ask("layout", layout, "large");
      },
      nextLayout() {
        const layouts = ["three", "one", ...(this.compared ? ["compare"] : [])];
        this.lay(layouts[(layouts.indexOf(this.layout) + 1) % layouts.length]);
      },
      choose(second) { if (!this.busy) { this.second = second; this.$refs.open.showModal(); } },
      name(pane) {
        const denoised = this.compared && this.compared.denoised;
        if (pane.place === "difference") return "Difference";
        if (pane.place === "second") return denoised ? "Denoised" : "Second volume";
        if (this.layout === "compare") return denoised ? "Original" : "First volume";
        return this.flipped ? pane.orientation + ", denoised" : pane.orientation;
      },
      nextOverlay() {
        const names = ["", ...this.overlays.map((one) => one[0])];
        this.ask("overlay", names[(names.indexOf(this.overlay) + 1) % names.length]);
      },
      help() { this.$refs.help.toggle(); },
      press(event) {
        const tag = event.target.tagName || "";
        if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(tag)) return;
        if (event.key === "?") { event.preventDefault(); return this.help(); }
        if (this.$refs.help.shown() || this.$refs.open.open) return;
        const pan = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
        if (this.opened && event.shiftKey && pan) { event.preventDefault(); return this.ask("pan", ...pan); }
        const jump = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 }[event.key];
        const act = {
          n: () => this.worse(1), b: () => this.worse(-1), o: () => this.nextOverlay(), x: () => this.ask("crosshair"),
          l: () => this.nextLayout(), c: () => this.lay("compare"), m: () => this.measure(), d: () => { this.tab = "denoise"; }, f: () => this.ask("flip"), r: () => this.ask("reset"), z: () => this.ask("zoom", event.shiftKey ? -1 : 1),
          ",": () => this.ask("adjust", 0, -1), ".": () => this.ask("adjust", 0, 1), "<": () => this.ask("adjust", -1, 0), ">": () => this.ask("adjust", 1, 0), a: () => this.assess(), t: () => this.switchTheme(),
          "+": () => this.ask("opacity", Math.min(1, this.opacity + 0.1)), "-": () => this.ask("opacity", Math.max(0, this.opacity - 0.1)),
        }[event.key.toLowerCase()];
        if (event.key === "t" || event.key === "T") { act(); return; }
        if (!this.opened) return;
        if (jump) { event.preventDefault(); this.step(jump); }
        else if (event.key === "Home") { event.preventDefault(); this.jump(0); }
        else if (event.key === "End") { event.preventDefault(); this.jump(this.opened.slices - 1); }
        else if (this.presets[Number(event.key) - 1]) this.ask("window", this.presets[Number(event.key) - 1][0]);
        else if (act) act();
      },
    },
    template: `
<div class="page">
  <header>
    <h1>CT quality</h1>
    <div v-if="busy || typeof sending === 'number'" class="progress" data-test="progress">
      <div class="bar" role="progressbar" :aria-valuenow="busy ? percent : sending" aria-valuemin="0" aria-valuemax="100" :aria-label="busy ? busy.message : 'Sending files'"><div :style="{ width: ((busy ? percent : sending) || 0) + '%' }"></div></div>
      <p v-if="busy">{{ busy.message }}<template v-if="busy.total"> · {{ busy.done }} of {{ busy.total }}</template><template v-if="left"> · {{ left }}</template></p>
      <p v-else>Sending files · {{ sending }} %</p>
  </div>
    <p v-else class="title">{{ opened ? opened.title : 'No CT is open' }}</p>
    <label v-if="series.items.length > 1 || (!opened && series.items.length)" class="series">Series <select data-test="series" :value="opened ? series.chosen : 0" @change="ask('series', Number($event.target.value))" :disabled="!!busy || sending !== null">
      <option v-if="!opened" :value="0">choose</option><option v-for="[number, title] in series.items" :key="number" :value="number">{{ title }}</option></select></label>
    <button type="button" data-test="open" @click="choose(false)" :disabled="!!busy || sending !== null">Open…</button>
    <button v-if="!live" type="button" class="primary" data-test="assess" @click="assess" :disabled="!opened || !!busy || !models.length">Assess</button>
    <button v-else type="button" class="stop" data-test="cancel" @click="ask('cancel')">Cancel</button>
    <button type="button" class="icon" @click="switchTheme" :aria-label="dark ? 'Light page' : 'Dark page'" :title="dark ? 'Light page (T)' : 'Dark page (T)'">{{ dark ? '☀' : '☾' }}</button>
    <button type="button" class="icon" data-test="help" @click="help" aria-label="Keys and mouse" title="Keys and mouse (?)">?</button>
  </header>
  <div v-if="shownError" class="alert" role="alert" data-test="error"><p><strong>{{ shownError.problem }}</strong> {{ shownError.advice }}</p><button type="button" @click="dismiss">Close</button></div>
  <main>
    <section class="work" aria-label="Images">
      <div class="tools" role="toolbar" aria-label="View">
        <div class="group" role="group" aria-label="Window">
          <button v-for="([name, title], n) in presets" :key="name" type="button" :data-test="'window-' + name" :title="title + ' (' + (n + 1) + ')'" @click="ask('window', name)" :disabled="!opened">{{ title }}</button>
        </div>
        <span class="quiet" data-test="window">{{ opened ? 'W ' + levels[0] + '  L ' + levels[1] : '' }}</span>
        <span class="gap"></span>
        <div class="group" role="group" aria-label="Layout">
          <button v-for="[name, title] in [['three', 'Three views'], ['one', 'One view'], ['compare', 'Compare']]" :key="name" type="button" :data-test="'layout-' + name" :aria-pressed="layout === name" :title="title + (name === 'compare' ? ' with a second volume (C)' : ' (L)')" @click="lay(name)" :disabled="!opened || (name === 'compare' && !compared && !!busy)">{{ title }}</button>
        </div>
        <button type="button" :aria-pressed="crosshair" title="Lines where the other views cut (X)" @click="ask('crosshair')" :disabled="!opened">Lines</button>
        <button type="button" title="Reset the views (R)" @click="ask('reset')" :disabled="!opened">Reset</button>
      </div>
      <div v-if="overlays.length" class="tools" role="toolbar" aria-label="Overlay">
        <label>Overlay <select data-test="overlay" :value="overlay" @change="ask('overlay', $event.target.value)" :disabled="!overlays.length">
          <option value="">None</option><option v-for="[name, title] in overlays" :key="name" :value="name">{{ title }}</option></select></label>
        <label class="slide">Opacity <input type="range" data-test="opacity" min="0" max="1" step="0.05" :value="opacity" @input="ask('opacity', Number($event.target.value))" :disabled="!overlay"></label>
        <label v-if="threshold" class="slide">{{ threshold.title }} <input type="range" data-test="threshold" :min="threshold.low" :max="threshold.high" step="0.1" :value="threshold.value" @input="ask('threshold', Number($event.target.value))"> <output data-test="threshold-value">{{ threshold.value.toFixed(1) }}{{ threshold.unit }}</output></label>
      </div>
      <div class="views" :class="layout">
        <div v-for="pane in panes" :key="pane.place" class="pane" :class="[pane.place, { away: !shown(pane.place) }]" :data-test="pane.place" role="group" :aria-hidden="shown(pane.place) ? null : 'true'" :aria-label="name(pane) + ', ' + pane.orientation + ' view'" @load.capture="$event.target.alt = name(pane)" @dblclick="enlarge(pane.place)" @wheel.capture="turn(pane.place, $event)">
          <slot :name="pane.place"></slot>
          <template v-if="opened">
            <span class="label" :class="{ flipped: flipped && layout !== 'compare' }" :data-test="'name-' + pane.place">{{ name(pane) }}<template v-if="pane.place === 'large'"> · slice <b data-test="here">{{ here }}</b> of 0 to {{ opened.slices - 1 }}</template></span>
            <span v-for="(side, n) in pane.sides.slice(0, 3)" :key="n" class="side" :class="['l', 'r', 't'][n]" aria-hidden="true">{{ side }}</span>
            <div v-if="pane.place === 'large' && legend" class="legend" data-test="legend" role="img" :aria-label="legend.title + ', from ' + legend.low + ' to ' + legend.high">
              <b>{{ legend.title }}</b><span>{{ legend.high }}</span><i :style="{ background: 'linear-gradient(to top, ' + legend.colours.join(',') + ')' }"></i><span>{{ legend.low }}</span></div>
            <div class="foot"><span class="side" aria-hidden="true">{{ pane.sides[3] }}</span>
              <span v-if="pane.place === 'large' && overlay && result" class="note">{{ (legend && legend.note) || result.statement }}</span></div>
            <button v-if="layout !== 'compare'" type="button" class="enlarge" :data-test="'enlarge-' + pane.place" :aria-label="layout === 'one' ? 'Show all three views' : 'Show the ' + pane.orientation + ' view alone'" :title="layout === 'one' ? 'All three views' : 'This view alone'" @click="enlarge(pane.place)" @dblclick.stop>{{ layout === 'one' ? '⤡' : '⤢' }}</button>
          </template>
          <button v-else-if="pane.place === 'large' && !busy" type="button" class="empty" @click="choose(false)">Open a CT: choose files, a folder or a zip, or drop them here</button>
        </div>
        <ctqa-comparison v-if="layout === 'compare' && compared" :opened="opened" :compared="compared" :here="here" :span="span" :diverging="diverging" :busy="!!busy" @ask="ask"></ctqa-comparison>
      </div>
    </section>
    <aside aria-label="Assessment">
      <section v-if="result && scores" class="summary" data-test="summary" aria-live="polite">
        <div class="verdict"><span v-if="result.score !== null" class="score" data-test="score">{{ result.score }}</span><span v-if="result.score !== null" class="of">of 4</span><span class="grade">{{ result.grade }}</span></div>
        <p>{{ result.meaning }}</p>
        <p v-if="result.partial" class="partial">Partial: the run was cancelled; the slices that it did not reach have no score.</p>
        <p class="statement" data-test="statement"><strong v-if="result.simulated">Simulated labels.</strong> {{ result.statement }} {{ result.disclaimer }}</p>
        <dl><template v-for="[name, value] in result.numbers" :key="name"><dt>{{ name }}</dt><dd>{{ value }}</dd></template></dl>
      </section>
      <section v-else-if="live && busy.scoring && scores" class="summary" data-test="running"><p>The curve and the table fill while the slices are read.</p><p v-if="card" class="statement"><strong v-if="card.simulated">Simulated labels.</strong> {{ card.statement }}</p></section>
      <section v-else-if="opened && scores" class="summary">
        <p>Each slice gets a score from 0 (bad) to 4 (excellent), without a reference image.</p>
        <p v-if="card" class="statement"><strong v-if="card.simulated">Simulated labels.</strong> {{ card.statement }}</p>
        <p v-if="!models.length"><strong>No model is installed.</strong> Install CTQualityAssessment again, or set CTQA_MODELS to a folder.</p>
      </section>
      <section v-else-if="!opened" class="summary"><p>Score the image quality of a CT, slice by slice, without a reference. All data stay on this computer.</p></section>
      <p v-if="damaged" class="partial" data-test="damaged">{{ damaged }}</p>
      <p v-for="note in notes" :key="note" class="partial">{{ note }}</p>
      <template v-if="opened && rows.length && scores">
        <ctqa-curve :rows="rows" :slices="opened.slices" :here="here" :palette="palette" @jump="jump"></ctqa-curve>
        <div class="steps" role="group" aria-label="Worst slices">
          <button type="button" data-test="worse-back" title="Back towards the worst slice (B)" @click="worse(-1)" :disabled="!worst.length || rank === 0">◂ Worse</button>
          <span class="quiet" data-test="rank">{{ rank >= 0 ? (rank === 0 ? 'The worst slice' : 'Rank ' + (rank + 1) + ' of ' + worst.length + ' from the worst') : 'Worst slices' }}</span>
          <button type="button" data-test="worse-next" :title="walking === here ? 'Next worst slice (N)' : 'The worst slice (N)'" @click="worse(1)" :disabled="!worst.length">{{ walking === here ? 'Next worst ▸' : 'Worst ▸' }}</button>
        </div>
      </template>
      <div v-if="opened" class="tabs" role="tablist" aria-label="Details">
        <button v-for="[name, title] in tabs" :key="name" type="button" role="tab" :id="'tab-' + name" :aria-selected="tab === name" aria-controls="details" :data-test="'tab-' + name" @click="tab = name">{{ title }}</button>
      </div>
      <section v-if="opened" id="details" class="details" role="tabpanel" :aria-labelledby="'tab-' + tab">
        <template v-if="tab === 'slices'">
          <ctqa-slice-table v-if="rows.length" :rows="rows" :here="here" :palette="palette" @jump="jump"></ctqa-slice-table>
          <p v-else class="quiet">No slice has been assessed yet.</p>
        </template>
        <div v-else-if="tab === 'facts'" class="scroll">
          <ul v-if="(result || opened).warnings.length" class="warnings"><li v-for="text in (result || opened).warnings" :key="text">{{ text }}</li></ul>
          <dl class="wide"><template v-for="[name, value] in opened.facts" :key="name"><dt>{{ name }}</dt><dd>{{ value }}</dd></template></dl>
          <p class="quiet">As the headers say it; n/a where they say nothing.</p>
          <template v-if="result && result.refusals.length"><h2>Slices without a score</h2><p v-for="[reason, indices] in result.refusals" :key="reason">{{ indices }}: {{ reason }}</p></template>
        </div>
        <ctqa-measures v-else-if="tab === 'physics'" :measured="measured" :here="here" :busy="!!busy" @measure="measure"></ctqa-measures>
        <div v-else-if="tab === 'model'" class="scroll">
          <p><label>Model <select :value="chosen || model" @change="chosen = $event.target.value" :disabled="!!busy"><option v-for="one in models" :key="one.name" :value="one.name">{{ one.title }}</option></select></label></p>
          <p><label>Attention maps <select v-model="stage" :disabled="!!busy"><option :value="0">none</option><option :value="1">stage 1, fine</option><option :value="2">stage 2</option><option :value="3">stage 3</option><option :value="4">stage 4, coarse</option></select></label></p>
          <template v-if="result"><h2>This result</h2><dl class="wide"><template v-for="[name, value] in result.made" :key="name"><dt>{{ name }}</dt><dd>{{ value }}</dd></template></dl></template>
          <template v-if="card"><h2>Model card</h2><p>{{ card.description }}</p><pre v-if="card.card" tabindex="0">{{ card.card }}</pre></template>
        </div>
        <div v-else-if="tab === 'save'" class="scroll">
          <template v-if="files.length">
            <p v-for="[name, text] in files" :key="name">
              <button type="button" :data-test="'save-' + name" @click="save(name)" :disabled="sending !== null">{{ sending === name ? 'Writing…' : 'Save ' + name }}</button> <span class="quiet">{{ text }}</span></p>
            <p class="quiet">The files name no patient. The first one takes some seconds.</p>
          </template>
          <p v-else class="quiet">There is nothing to save before the CT is assessed, measured or denoised.</p>
        </div>
        <!-- Kept while another tab is in view: else denoiser and strength that were chosen would be the default again. -->
        <keep-alive><ctqa-denoising v-if="tab === 'denoise'" :denoisers="denoisers" :denoiser="denoiser" :denoised="denoised" :flipped="flipped" :layout="layout" :beside="beside" :busy="busy" :sending="sending" @ask="ask" @save="save"></ctqa-denoising></keep-alive>
      </section>
    </aside>
  </main>
  <ctqa-keys ref="help"></ctqa-keys>
  <dialog ref="open" aria-labelledby="open-title" @click.self="$refs.open.close()">
    <h2 id="open-title">{{ second ? 'Compare with a second CT' : 'Open a CT' }}</h2>
    <p v-if="second">The same region of the same patient: another kernel, dose or reconstruction. It is shown beside the first, with the difference.</p>
    <p>DICOM files, a folder or a zip of them; NIfTI, NRRD, MHA. They are copied to a private folder on this computer, read, and deleted; where there are several series to choose from, when the next CT is opened or the program ends.</p>
    <p><label class="file">Files or a zip <input type="file" multiple data-test="files" @change="upload([...$event.target.files]); $event.target.value = ''"></label></p>
    <p><label class="file">A folder <input type="file" webkitdirectory data-test="folder" @change="upload([...$event.target.files]); $event.target.value = ''"></label></p>
    <p><button type="button" @click="$refs.open.close()">Close</button></p>
  </dialog>
</div>`,
  };
  const lost = {
    methods: { reload: () => window.location.reload() },
    template: `<div class="lost" role="alert"><h1>The connection is lost</h1><p>A run goes on as long as the program runs. Reload this page; if that does not help, start the program again.</p><p><button type="button" @click="reload">Reload</button></p></div>`,
  };
  // The scripts arrive in any order, but all before this is called.
  window.ctqa = {
    install(app) {
      page.mixins = [window.ctqaTransfers];
      const parts = { "ctqa-page": page, "ctqa-lost": lost, "ctqa-curve": window.ctqaCurve, "ctqa-slice-table": window.ctqaSliceTable, "ctqa-measures": window.ctqaMeasures, "ctqa-comparison": window.ctqaComparison, "ctqa-denoising": window.ctqaDenoising, "ctqa-keys": window.ctqaKeys };
      Object.entries(parts).forEach(([name, part]) => app.component(name, part));
    },
  };
})();
