// Score against slice, with one standard deviation, the line at Fair, refused slices and the slice in view.
window.ctqaCurve = {
  props: { rows: Array, slices: Number, here: Number, palette: Array },
  emits: ["jump"],
  data: () => ({ hovered: null, width: 372, height: 176, left: 66, right: 8, top: 8, bottom: 34 }),
  computed: {
    scored() { return this.rows.filter((row) => row[1] !== null).sort((a, b) => a[0] - b[0]); },
    refused() { return this.rows.filter((row) => row[1] === null); },
    line() { return this.runs.map((run) => "M" + run.map((r) => `${this.x(r[0])},${this.y(r[1])}`).join("L")).join(""); },
    band() {
      return this.runs.map((run) => {
        const upper = run.map((r) => `${this.x(r[0])},${this.y(Math.min(4, r[1] + (r[2] || 0)))}`);
        const lower = run.map((r) => `${this.x(r[0])},${this.y(Math.max(0, r[1] - (r[2] || 0)))}`).reverse();
        return `M${upper.join("L")}L${lower.join("L")}Z`;
      }).join("");
    },
    // Neighbouring slices only: no line is drawn across a refused slice.
    runs() {
      const runs = [];
      for (const row of this.scored) {
        const last = runs.length ? runs[runs.length - 1] : null;
        if (last && last[last.length - 1][0] === row[0] - 1) last.push(row); else runs.push([row]);
      }
      return runs;
    },
    step() { return (this.width - this.left - this.right) / Math.max(1, this.slices); },
    ticks() {
      const wanted = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((n) => this.slices / n <= 7) || 2000;
      return Array.from({ length: Math.ceil(this.slices / wanted) }, (_, n) => n * wanted);
    },
    told() {
      const row = this.rows.find((r) => r[0] === (this.hovered === null ? this.here : this.hovered));
      if (!row) return `Slice ${this.hovered === null ? this.here : this.hovered}: not assessed yet`;
      if (row[1] === null) return `Slice ${row[0]}: no score. ${row[5] || ""}`;
      return `Slice ${row[0]}: ${row[1].toFixed(1)}${row[2] === null ? "" : ` ± ${row[2].toFixed(1)}`}, ${row[3]}`;
    },
  },
  methods: {
    x(index) { return +(this.left + (index + 0.5) * this.step).toFixed(1); },
    y(score) { return +(this.top + (1 - score / 4) * (this.height - this.top - this.bottom)).toFixed(1); },
    colour(score) { return this.palette[Math.round(score * 5)]; },
    at(event) {
      const box = this.$refs.svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * this.width;
      return Math.min(this.slices - 1, Math.max(0, Math.floor((x - this.left) / this.step)));
    },
  },
  template: `
  <figure class="curve">
    <svg ref="svg" :viewBox="'0 0 ' + width + ' ' + height" role="img" aria-label="Score of each slice; the table below holds the same numbers"
         @pointermove="hovered = at($event)" @pointerleave="hovered = null" @click="$emit('jump', at($event))">
      <rect v-for="row in refused" :key="'r' + row[0]" class="refused" :x="x(row[0]) - step / 2" :y="top" :width="step" :height="height - top - bottom" />
      <g v-for="(word, score) in ['Bad', 'Poor', 'Fair', 'Good', 'Excellent']" :key="word">
        <line :class="score === 2 ? 'fair' : 'grid'" :x1="left" :x2="width - right" :y1="y(score)" :y2="y(score)" />
        <text class="tick" :x="left - 5" :y="y(score) + 3.5" text-anchor="end">{{ word }} {{ score }}</text>
      </g>
      <path class="band" :d="band" /><path class="line" :d="line" />
      <circle v-for="row in scored" :key="row[0]" class="point" :data-slice="row[0]" :cx="x(row[0])" :cy="y(row[1])" :r="Math.max(1.6, Math.min(3.4, step))" :fill="colour(row[1])" />
      <line v-if="hovered !== null" class="hover" :x1="x(hovered)" :x2="x(hovered)" :y1="top" :y2="height - bottom" />
      <line class="here" :x1="x(here)" :x2="x(here)" :y1="top" :y2="height - bottom" />
      <text v-for="n in ticks" :key="'t' + n" class="tick" :x="x(n)" :y="height - bottom + 13" text-anchor="middle">{{ n }}</text>
    </svg>
    <figcaption aria-live="off">{{ told }}</figcaption>
  </figure>`,
};
